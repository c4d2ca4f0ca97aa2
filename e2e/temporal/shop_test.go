package temporal

import (
	"errors"
	"fmt"
	"time"

	sdk "go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/annals-io/annals/internal/demo/workflows"
)

// shop are the demo's workflows as one writes them for Temporal: what
// internal/demo/workflows says in our engine's words, by type.
var shop = map[string]any{
	workflows.Order.Name: shopOrder, workflows.Subscription.Name: shopSubscription, workflows.Batch.Name: shopBatch, workflows.ImportFile.Name: shopImportFile,
}

var (
	shopCustomer = sdk.NewSearchAttributeKeyKeyword("CustomerId")
	shopCents    = sdk.NewSearchAttributeKeyInt64("OrderCents")
	shopPlan     = sdk.NewSearchAttributeKeyKeyword("Plan")
	shopSupplier = sdk.NewSearchAttributeKeyKeyword("Supplier")
	shopStatus   = sdk.NewSearchAttributeKeyKeyword(workflows.AttributeOrderStatus)
	shopPeriods  = sdk.NewSearchAttributeKeyInt64(workflows.AttributePaidPeriods)
	shopRows     = sdk.NewSearchAttributeKeyInt64(workflows.AttributeImportedRows)
)

// do schedules an activity. A request to cancel the workflow is not the activity's
// business, in the demo.
func do(ctx workflow.Context, name string, in any) workflow.Future {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	return workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: 10 * time.Second}), name, in)
}

// reasonOf is the text of an activity's failure as the demo has it.
func reasonOf(err error) string {
	var failed *sdk.ActivityError
	var app *sdk.ApplicationError
	if errors.As(err, &failed) && errors.As(err, &app) {
		return fmt.Sprintf("activity %s: %s", failed.ActivityType().GetName(), app.Message())
	}
	return err.Error()
}

func shopOrder(ctx workflow.Context, o workflows.OrderRequest) (receipt workflows.Receipt, err error) {
	if err := workflow.UpsertTypedSearchAttributes(ctx, shopCustomer.ValueSet(o.Customer), shopCents.ValueSet(o.Cents)); err != nil {
		return receipt, err
	}
	if o.Review {
		var review workflows.Review
		workflow.GetSignalChannel(ctx, workflows.SignalReviewed).Receive(ctx, &review)
	}
	var reservation string
	if err := do(ctx, "ReserveStock", o.Items).Get(ctx, &reservation); err != nil {
		return receipt, err
	}
	var payment workflows.Payment
	if err := do(ctx, "ChargeCard", workflows.Charge{Card: o.Card, Cents: o.Cents}).Get(ctx, &payment); err != nil {
		if releaseErr := do(ctx, "ReleaseStock", reservation).Get(ctx, nil); releaseErr != nil {
			return receipt, releaseErr
		}
		return receipt, err
	}
	if err := workflow.UpsertTypedSearchAttributes(ctx, shopStatus.ValueSet("Paid")); err != nil {
		return receipt, err
	}
	timing, unpack := workflow.WithCancel(ctx)
	packed := workflow.NewTimer(timing, 400*time.Millisecond)
	canceled := workflow.GetSignalChannel(ctx, workflows.SignalCancelOrder)
	if err := workflow.Await(ctx, func() bool { return packed.IsReady() || canceled.Len() > 0 }); err != nil {
		return receipt, err
	}
	if canceled.Len() > 0 {
		unpack()
		var c workflows.Cancellation
		canceled.Receive(ctx, &c)
		return shopRefund(ctx, payment, reservation, c.Reason)
	}
	var parcel string
	if err := do(ctx, "ShipParcel", workflows.Parcel{Customer: o.Customer, Reservation: reservation}).Get(ctx, &parcel); err != nil {
		return shopRefund(ctx, payment, reservation, reasonOf(err))
	}
	if err := workflow.UpsertTypedSearchAttributes(ctx, shopStatus.ValueSet("Shipped")); err != nil {
		return receipt, err
	}
	return workflows.Receipt{Outcome: "shipped", Payment: payment.ID, Parcel: parcel}, nil
}

func shopRefund(ctx workflow.Context, p workflows.Payment, reservation, reason string) (receipt workflows.Receipt, err error) {
	money, stock := do(ctx, "RefundPayment", p), do(ctx, "ReleaseStock", reservation)
	var refund string
	if err := money.Get(ctx, &refund); err != nil {
		return receipt, err
	}
	if err := stock.Get(ctx, nil); err != nil {
		return receipt, err
	}
	if err := workflow.UpsertTypedSearchAttributes(ctx, shopStatus.ValueSet("Refunded")); err != nil {
		return receipt, err
	}
	return workflows.Receipt{Outcome: "refunded", Payment: p.ID, Refund: refund, Reason: reason}, nil
}

func shopSubscription(ctx workflow.Context, s workflows.SubscriptionTerms) (farewell workflows.Farewell, err error) {
	if s.Period == 1 {
		if err := workflow.UpsertTypedSearchAttributes(ctx, shopCustomer.ValueSet(s.Customer), shopPlan.ValueSet(s.Plan)); err != nil {
			return farewell, err
		}
	}
	var paid workflows.Payment
	invoice := workflows.Invoice{Number: fmt.Sprintf("%s-%02d", s.Customer, s.Period), Charge: workflows.Charge{Card: s.Card, Cents: s.Cents}}
	own, _ := workflow.NewDisconnectedContext(ctx)
	if err := do(ctx, "ChargeSubscription", invoice).Get(own, &paid); err != nil {
		return farewell, err
	}
	s.Paid += paid.Cents
	if err := workflow.UpsertTypedSearchAttributes(ctx, shopPeriods.ValueSet(int64(s.Period))); err != nil {
		return farewell, err
	}
	if err := workflow.UpsertMemo(ctx, map[string]any{"paidCents": s.Paid}); err != nil {
		return farewell, err
	}
	timing, stop := workflow.WithCancel(own)
	renewal := workflow.NewTimer(timing, s.Month)
	unsubscribed := workflow.GetSignalChannel(ctx, workflows.SignalUnsubscribe)
	if err := workflow.Await(own, func() bool { return renewal.IsReady() || unsubscribed.Len() > 0 || ctx.Err() != nil }); err != nil {
		return farewell, err
	}
	switch {
	case ctx.Err() != nil:
		stop()
		return farewell, ctx.Err()
	case unsubscribed.Len() > 0:
		stop()
		var c workflows.Cancellation
		unsubscribed.Receive(own, &c)
		if err := do(ctx, "SendFarewell", s.Customer).Get(own, nil); err != nil {
			return farewell, err
		}
		return workflows.Farewell{Reason: c.Reason, Periods: s.Period, Paid: s.Paid}, nil
	case s.Period == s.Periods:
		return workflows.Farewell{Reason: "the term is over", Periods: s.Period, Paid: s.Paid}, nil
	}
	s.Period++
	return farewell, workflow.NewContinueAsNewError(ctx, workflows.Subscription.Name, s)
}

func shopBatch(ctx workflow.Context, b workflows.BatchRequest) (report workflows.BatchReport, err error) {
	if err := workflow.UpsertTypedSearchAttributes(ctx, shopSupplier.ValueSet(b.Supplier)); err != nil {
		return report, err
	}
	var files []string
	if err := do(ctx, "ListFiles", b).Get(ctx, &files); err != nil {
		return report, err
	}
	imports := make([]workflow.ChildWorkflowFuture, len(files))
	for i, file := range files {
		o := workflow.ChildWorkflowOptions{WorkflowID: workflow.GetInfo(ctx).WorkflowExecution.ID + "/" + file}
		imports[i] = workflow.ExecuteChildWorkflow(workflow.WithChildOptions(ctx, o), workflows.ImportFile.Name, workflows.FileRequest{Supplier: b.Supplier, File: file})
	}
	for _, one := range imports {
		var imported workflows.Imported
		if err := one.Get(ctx, &imported); err != nil {
			report.Failed++
			continue
		}
		report.Imported++
		report.Rows += imported.Rows
	}
	if report.Failed > len(files)/2 {
		return workflows.BatchReport{}, workflows.TooManyFailures{Failed: report.Failed, Of: len(files)}
	}
	err = do(ctx, "SendReport", report).Get(ctx, &report.Report)
	return report, err
}

func shopImportFile(ctx workflow.Context, f workflows.FileRequest) (imported workflows.Imported, err error) {
	if err := do(ctx, "FetchFile", f).Get(ctx, &imported.Digest); err != nil {
		return imported, err
	}
	if err := do(ctx, "LoadRows", f).Get(ctx, &imported.Rows); err != nil {
		return imported, err
	}
	return imported, workflow.UpsertTypedSearchAttributes(ctx, shopRows.ValueSet(int64(imported.Rows)))
}
