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
}

// IsEmpty reports whether nothing was collected.
func (c *Changes) IsEmpty() bool {
	return len(c.Activities) == 0 && len(c.Timers) == 0 && len(c.Children) == 0 && len(c.NexusOperations) == 0
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
