package execution

// Changes collects what [State.ApplyTo] opened, changed or closed in one run,
// each with its newest value, sorted by key. What has closed is in here only:
// the State has let go of it.
//
// A value stays as it is from the moment that ApplyTo is called with another
// Changes, so it can be read, by another goroutine too, while the fold goes on
// into the next one. The zero value is ready for use. One Changes holds one
// run: event ids of several would clash.
type Changes struct {
	Activities      []*Activity
	Timers          []*Timer
	Children        []*Child
	NexusOperations []*NexusOperation
	Updates         []*Update
	ExternalSignals []*ExternalSignal
	ExternalCancels []*ExternalCancel
	Signals         []*Signal // received
}

// IsEmpty reports whether nothing was collected.
func (c *Changes) IsEmpty() bool {
	return len(c.Activities) == 0 && len(c.Timers) == 0 && len(c.Children) == 0 && len(c.NexusOperations) == 0 &&
		len(c.Updates) == 0 && len(c.ExternalSignals) == 0 && len(c.ExternalCancels) == 0 && len(c.Signals) == 0
}

func (c *Changes) activities() *[]*Activity {
	if c == nil {
		return nil
	}
	return &c.Activities
}

func (c *Changes) timers() *[]*Timer {
	if c == nil {
		return nil
	}
	return &c.Timers
}

func (c *Changes) children() *[]*Child {
	if c == nil {
		return nil
	}
	return &c.Children
}

func (c *Changes) nexusOperations() *[]*NexusOperation {
	if c == nil {
		return nil
	}
	return &c.NexusOperations
}

func (c *Changes) updates() *[]*Update {
	if c == nil {
		return nil
	}
	return &c.Updates
}

func (c *Changes) externalSignals() *[]*ExternalSignal {
	if c == nil {
		return nil
	}
	return &c.ExternalSignals
}

func (c *Changes) externalCancels() *[]*ExternalCancel {
	if c == nil {
		return nil
	}
	return &c.ExternalCancels
}
