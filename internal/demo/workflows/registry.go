package workflows

import "github.com/annals-io/annals/internal/demo/engine"

// Registry is all of it, for a worker.
func Registry() *engine.Registry {
	return engine.NewRegistry(
		Order, ReserveStock, ReleaseStock, ChargeCard, RefundPayment, ShipParcel,
		Subscription, ChargeSubscription, SendFarewell,
		Batch, ImportFile, ListFiles, FetchFile, LoadRows, SendReport,
	)
}

// TaskQueue is where the demo's workflows say that their tasks are.
const TaskQueue = "shop"
