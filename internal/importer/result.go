package importer

// Outcome is what became of a file, or of a run that a server has.
type Outcome string

// The outcomes.
const (
	Imported Outcome = "imported" // its run was not there, and now is
	Extended Outcome = "extended" // its run was there, and now has more events
	Present  Outcome = "present"  // its run was there, with at least its events, or an earlier attempt had stored them
	Refused  Outcome = "refused"  // see Reason
	Gone     Outcome = "gone"     // a server listed it, and had none of it when it was asked
)

// Result is what became of a file, or of a run. Its JSON is a line of `import -o jsonl`.
type Result struct {
	File     string  `json:"file"`     // as it was named, or found in a folder that was; empty: it came from a server
	Workflow string  `json:"workflow"` // id; empty if the file could not be read so far
	Run      string  `json:"run"`      // id; empty if the file could not be read so far
	Events   int     `json:"events"`   // in the file, or of the run
	Outcome  Outcome `json:"outcome"`
	Reason   string  `json:"reason"` // why it was refused, or what there is to say although it is stored
	// Dropped lists the paths of what this version of the API does not know.
	Dropped []string `json:"dropped"`
	// Kept lists the paths of what this version of the API does not know and is
	// stored nevertheless, as a history in protobuf can hold it. Of a field there
	// is its number.
	Kept []string `json:"kept,omitempty"`

	// Appended is how many events were appended, without those of which the log
	// says that an earlier attempt had stored them.
	Appended int `json:"-"`
	// Failed says that the file, or the run, is Refused for a reason that may pass:
	// the log, or the server, did not answer in time. To import it again settles it.
	Failed bool `json:"-"`
}

// Summary counts results.
type Summary struct {
	Files                                      int // or runs
	Imported, Extended, Present, Refused, Gone int
	Open                                       int // runs that were followed, and were open in the end
	Failed                                     int // those of Refused that may go in later
	Events                                     int // that were appended
	Dropped                                    int // files with something dropped
}

func (s *Summary) count(r Result) {
	s.Files++
	s.Events += r.Appended
	if len(r.Dropped) > 0 {
		s.Dropped++
	}
	switch r.Outcome {
	case Imported:
		s.Imported++
	case Extended:
		s.Extended++
	case Present:
		s.Present++
	case Gone:
		s.Gone++
	case Refused:
		s.Refused++
		if r.Failed {
			s.Failed++
		}
	}
}
