package workflows

// The search attributes by which a workflow says how far it is. None is set
// before there is something to say.
const (
	AttributeOrderStatus  = "OrderStatus"  // Keyword: Paid, then Shipped or Refunded
	AttributePaidPeriods  = "PaidPeriods"  // Int: of a subscription, over all its runs
	AttributeImportedRows = "ImportedRows" // Int: of a file
)
