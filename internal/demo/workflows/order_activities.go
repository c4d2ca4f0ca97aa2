package workflows

import (
	"context"
	"time"

	"github.com/annals-io/annals/internal/demo/engine"
)

// Review is the input of the signal that lets a held order go on.
type Review struct {
	By string `json:"by"`
}

// Charge asks for money.
type Charge struct {
	Card  string `json:"card"`
	Cents int64  `json:"cents"`
}

// Payment is money that has come.
type Payment struct {
	ID    string `json:"id"`
	Cents int64  `json:"cents"`
}

// Parcel is what is to be shipped.
type Parcel struct {
	Customer    string `json:"customer"`
	Reservation string `json:"reservation"`
}

// ReserveStock keeps the items of an order for it.
var ReserveStock = engine.Activity[[]Item, string]{
	Name:  "ReserveStock",
	Retry: engine.Retry{Final: []string{"OutOfStock"}},
	Run: func(ctx context.Context, items []Item) (string, error) {
		a := engine.AttemptOf(ctx)
		if err := work(ctx, 200*time.Millisecond); err != nil {
			return "", err
		}
		if chance(3, "stock", a.Workflow.ID) {
			return "", OutOfStock{SKU: items[0].SKU}
		}
		return reference("RSV", a), nil
	},
}

// ReleaseStock gives back what was reserved.
var ReleaseStock = engine.Activity[string, bool]{
	Name: "ReleaseStock",
	Run: func(ctx context.Context, _ string) (bool, error) {
		return true, work(ctx, 150*time.Millisecond)
	},
}

// ChargeCard has the bank pay. The gateway is not the best.
var ChargeCard = engine.Activity[Charge, Payment]{
	Name:         "ChargeCard",
	StartToClose: 5 * time.Second,
	Retry:        engine.Retry{InitialInterval: 100 * time.Millisecond, MaximumAttempts: 5, Final: []string{"CardDeclined"}},
	Run: func(ctx context.Context, c Charge) (Payment, error) {
		a := engine.AttemptOf(ctx)
		if err := work(ctx, 300*time.Millisecond); err != nil {
			return Payment{}, err
		}
		switch {
		case a.Number <= 2 && chance(25, "gateway", a.Workflow.ID, a.Number):
			return Payment{}, GatewayTimeout{Gateway: "payments.example"}
		case chance(5, "declined", a.Workflow.ID):
			return Payment{}, CardDeclined{Card: c.Card}
		}
		return Payment{ID: reference("PAY", a), Cents: c.Cents}, nil
	},
}

// RefundPayment gives the money back.
var RefundPayment = engine.Activity[Payment, string]{
	Name:  "RefundPayment",
	Retry: engine.Retry{InitialInterval: 100 * time.Millisecond},
	Run: func(ctx context.Context, _ Payment) (string, error) {
		return reference("RFD", engine.AttemptOf(ctx)), work(ctx, 250*time.Millisecond)
	},
}

// ShipParcel hands the parcel to a carrier.
var ShipParcel = engine.Activity[Parcel, string]{
	Name:  "ShipParcel",
	Retry: engine.Retry{Final: []string{"CarrierRejected"}},
	Run: func(ctx context.Context, _ Parcel) (string, error) {
		a := engine.AttemptOf(ctx)
		if err := work(ctx, 350*time.Millisecond); err != nil {
			return "", err
		}
		if chance(8, "carrier", a.Workflow.ID) {
			return "", CarrierRejected{Reason: "no service to this address"}
		}
		return reference("PCL", a), nil
	},
}
