package workflows

import "fmt"

// OutOfStock occurs when an item cannot be reserved; trying again is no use.
type OutOfStock struct{ SKU string }

func (e OutOfStock) Error() string { return e.SKU + " is out of stock" }

// CardDeclined occurs when the bank says no, for good.
type CardDeclined struct{ Card string }

func (e CardDeclined) Error() string { return "the bank declined card " + e.Card }

// GatewayTimeout occurs when the payment gateway does not answer; the next
// attempt may fare better.
type GatewayTimeout struct{ Gateway string }

func (e GatewayTimeout) Error() string { return e.Gateway + " did not answer in time" }

// CarrierRejected occurs when no carrier takes the parcel.
type CarrierRejected struct{ Reason string }

func (e CarrierRejected) Error() string { return "the carrier rejected the parcel: " + e.Reason }

// CorruptFile occurs when a file cannot be read.
type CorruptFile struct {
	File string
	Line int
}

func (e CorruptFile) Error() string { return fmt.Sprintf("%s is damaged at line %d", e.File, e.Line) }

// TooManyFailures occurs when a batch is not worth its result.
type TooManyFailures struct{ Failed, Of int }

func (e TooManyFailures) Error() string { return fmt.Sprintf("%d of %d files failed", e.Failed, e.Of) }
