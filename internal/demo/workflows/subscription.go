package workflows

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/annals-io/annals/internal/demo/engine"
)

// SubscriptionTerms are what a customer has subscribed to. Each period is a run
// of its own: its number is in the input.
type SubscriptionTerms struct {
	Customer string        `json:"customer"`
	Plan     string        `json:"plan"`
	Cents    int64         `json:"cents"`
	Card     string        `json:"card"`
	Month    time.Duration `json:"month"` // how long a month is
	Period   int           `json:"period"`
	Periods  int           `json:"periods"`
	Paid     int64         `json:"paid"` // cents, so far
}

// Farewell is how a subscription has ended.
type Farewell struct {
	Reason  string `json:"reason"`
	Periods int    `json:"periods"`
	Paid    int64  `json:"paid"`
}

// SignalUnsubscribe ends a subscription.
const SignalUnsubscribe = "unsubscribe"

// Subscription charges a customer each month, until the term is over or the
// customer has had enough.
var Subscription = engine.Workflow[SubscriptionTerms, Farewell]{Name: "Subscription"}

// A workflow that continues as itself cannot be a constant of itself.
func init() { Subscription.Run = subscription }

func subscription(ctx *engine.Context, s SubscriptionTerms) (Farewell, error) {
	if s.Period == 1 {
		engine.SetSearchAttributes(ctx, map[string]any{"CustomerId": s.Customer, "Plan": s.Plan})
	}
	invoice := Invoice{Number: fmt.Sprintf("%s-%02d", s.Customer, s.Period), Charge: Charge{Card: s.Card, Cents: s.Cents}}
	paid, err := engine.ExecuteActivity(ctx, ChargeSubscription, invoice).Get(ctx)
	if err != nil {
		return Farewell{}, err
	}
	s.Paid += paid.Cents
	engine.SetSearchAttributes(ctx, map[string]any{AttributePaidPeriods: s.Period})
	engine.SetMemo(ctx, map[string]any{"paidCents": s.Paid})

	renewal := engine.NewTimer(ctx, s.Month)
	unsubscribed := engine.SignalsNamed[Cancellation](ctx, SignalUnsubscribe)
	canceled := engine.CancelRequest(ctx)
	engine.Await(ctx, renewal, unsubscribed, canceled)
	switch {
	case canceled.Ready():
		renewal.Cancel(ctx)
		return Farewell{}, fmt.Errorf("period %d of %d: %w", s.Period, s.Periods, engine.ErrCanceled)
	case unsubscribed.Ready():
		renewal.Cancel(ctx)
		c, err := unsubscribed.Receive(ctx)
		if err != nil {
			return Farewell{}, err
		}
		if _, err := engine.ExecuteActivity(ctx, SendFarewell, s.Customer).Get(ctx); err != nil {
			return Farewell{}, err
		}
		return Farewell{Reason: c.Reason, Periods: s.Period, Paid: s.Paid}, nil
	case s.Period == s.Periods:
		return Farewell{Reason: "the term is over", Periods: s.Period, Paid: s.Paid}, nil
	}
	s.Period++
	return Farewell{}, engine.ContinueAsNew(Subscription, s)
}

// Invoice is what a period costs.
type Invoice struct {
	Number string `json:"number"`
	Charge
}

// errBankAsleep is an answer that is none.
var errBankAsleep = errors.New("the bank is closed for maintenance")

// ChargeSubscription has the bank pay an invoice.
var ChargeSubscription = engine.Activity[Invoice, Payment]{
	Name:         "ChargeSubscription",
	StartToClose: 5 * time.Second,
	Retry:        engine.Retry{InitialInterval: 80 * time.Millisecond, MaximumAttempts: 4, Final: []string{"CardDeclined"}},
	Run: func(ctx context.Context, i Invoice) (Payment, error) {
		a := engine.AttemptOf(ctx)
		if err := work(ctx, 200*time.Millisecond); err != nil {
			return Payment{}, err
		}
		switch {
		case a.Number == 1 && chance(20, "asleep", i.Number):
			return Payment{}, errBankAsleep
		case chance(4, "expired", i.Number):
			return Payment{}, CardDeclined{Card: i.Card}
		}
		return Payment{ID: reference("PAY", a), Cents: i.Cents}, nil
	},
}

// SendFarewell writes a mail.
var SendFarewell = engine.Activity[string, string]{
	Name: "SendFarewell",
	Run: func(ctx context.Context, _ string) (string, error) {
		return reference("MSG", engine.AttemptOf(ctx)), work(ctx, 100*time.Millisecond)
	},
}
