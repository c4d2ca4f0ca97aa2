package workflows

import (
	"time"

	"github.com/annals-io/annals/internal/demo/engine"
)

// OrderRequest is what a customer has ordered.
type OrderRequest struct {
	Customer string `json:"customer"`
	Items    []Item `json:"items"`
	Cents    int64  `json:"cents"`
	Card     string `json:"card"`
	// Review has the order wait for somebody to look at it.
	Review bool `json:"review,omitempty"`
}

// Item is a line of an order.
type Item struct {
	SKU      string `json:"sku"`
	Quantity int    `json:"quantity"`
}

// Receipt is how an order has ended.
type Receipt struct {
	Outcome string `json:"outcome"` // "shipped" or "refunded"
	Payment string `json:"payment"`
	Parcel  string `json:"parcel,omitempty"`
	Refund  string `json:"refund,omitempty"`
	Reason  string `json:"reason,omitempty"` // of the refund
}

// The signals of an order.
const (
	SignalReviewed    = "reviewed"
	SignalCancelOrder = "cancel-order"
)

// Cancellation is the input of the signals that cancel.
type Cancellation struct {
	Reason string `json:"reason"`
}

// packing is how long an order waits to be packed: until then it can be
// canceled.
const packing = 400 * time.Millisecond

// Order takes an order from the stock to the customer. What is paid and cannot
// be delivered is refunded.
var Order = engine.Workflow[OrderRequest, Receipt]{Name: "Order", Run: order}

func order(ctx *engine.Context, o OrderRequest) (Receipt, error) {
	engine.SetSearchAttributes(ctx, map[string]any{"CustomerId": o.Customer, "OrderCents": o.Cents})

	if o.Review {
		if _, err := engine.SignalsNamed[Review](ctx, SignalReviewed).Receive(ctx); err != nil {
			return Receipt{}, err
		}
	}
	reservation, err := engine.ExecuteActivity(ctx, ReserveStock, o.Items).Get(ctx)
	if err != nil {
		return Receipt{}, err
	}
	payment, err := engine.ExecuteActivity(ctx, ChargeCard, Charge{Card: o.Card, Cents: o.Cents}).Get(ctx)
	if err != nil { // the card was declined, or the gateway is down
		_, releaseErr := engine.ExecuteActivity(ctx, ReleaseStock, reservation).Get(ctx)
		if releaseErr != nil {
			return Receipt{}, releaseErr
		}
		return Receipt{}, err
	}
	setStatus(ctx, "Paid")

	packed := engine.NewTimer(ctx, packing)
	canceled := engine.SignalsNamed[Cancellation](ctx, SignalCancelOrder)
	engine.Await(ctx, packed, canceled)
	if canceled.Ready() {
		packed.Cancel(ctx)
		c, err := canceled.Receive(ctx)
		if err != nil {
			return Receipt{}, err
		}
		return refund(ctx, payment, reservation, c.Reason)
	}
	parcel, err := engine.ExecuteActivity(ctx, ShipParcel, Parcel{Customer: o.Customer, Reservation: reservation}).Get(ctx)
	if err != nil {
		return refund(ctx, payment, reservation, err.Error())
	}
	setStatus(ctx, "Shipped")
	return Receipt{Outcome: "shipped", Payment: payment.ID, Parcel: parcel}, nil
}

// setStatus says how far the order is.
func setStatus(ctx *engine.Context, status string) {
	engine.SetSearchAttributes(ctx, map[string]any{AttributeOrderStatus: status})
}

// refund gives the money back while the stock is released.
func refund(ctx *engine.Context, p Payment, reservation, reason string) (Receipt, error) {
	money := engine.ExecuteActivity(ctx, RefundPayment, p)
	stock := engine.ExecuteActivity(ctx, ReleaseStock, reservation)
	refunded, err := money.Get(ctx)
	if err != nil {
		return Receipt{}, err
	}
	if _, err := stock.Get(ctx); err != nil {
		return Receipt{}, err
	}
	setStatus(ctx, "Refunded")
	return Receipt{Outcome: "refunded", Payment: p.ID, Refund: refunded, Reason: reason}, nil
}
