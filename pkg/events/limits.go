package events

// Limits bound commits and histories, as Temporal bounds them. Zero fields mean
// the default.
type Limits struct {
	CommitBytes int   // of one commit's events, encoded; 2 MiB
	WarnEvents  int64 // of one run; 10,240
	WarnBytes   int64 // of one run; 10 MiB
	MaxEvents   int64 // of one run; 51,200
	MaxBytes    int64 // of one run; 50 MiB
}

// WithDefaults fills in the zero fields.
func (l Limits) WithDefaults() Limits {
	if l.CommitBytes == 0 {
		l.CommitBytes = 2 << 20
	}
	if l.WarnEvents == 0 {
		l.WarnEvents = 10_240
	}
	if l.WarnBytes == 0 {
		l.WarnBytes = 10 << 20
	}
	if l.MaxEvents == 0 {
		l.MaxEvents = 51_200
	}
	if l.MaxBytes == 0 {
		l.MaxBytes = 50 << 20
	}
	return l
}
