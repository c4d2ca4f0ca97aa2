package heads

import (
	"time"

	"github.com/annals-io/annals/pkg/events"
)

// Version is that of the file's form.
const Version = 1

// The kinds of lines, in the order in which they stand: one header; for each
// partition its marks, its head and its workflows; one end.
const (
	kindHeader   = "heads"
	kindMark     = "mark"
	kindHead     = "head"
	kindWorkflow = "workflow"
	kindEnd      = "end"
)

// Header is the file's first line: which log the heads are of.
type Header struct {
	Type       string    `json:"type"`
	Version    int       `json:"version"`
	LogID      string    `json:"logId"`
	Epoch      uint32    `json:"epoch"`
	Format     int       `json:"format"`
	MapVersion int       `json:"mapVersion"`
	Partitions int       `json:"partitions"`
	Window     int       `json:"window"`    // messages that a mark covers, at most
	Workflows  bool      `json:"workflows"` // whether there are lines of workflows
	Time       time.Time `json:"time"`      // when the file was begun, by the writer's clock
}

// Mark vouches for a window: the messages of a partition with the sequences
// [First, Last]. The windows of a partition have no gap and begin at 1.
type Mark struct {
	Type      string           `json:"type"`
	Partition events.Partition `json:"partition"`
	First     uint64           `json:"first"`
	Last      uint64           `json:"last"`
	Messages  uint64           `json:"messages"` // less than the sequences where some are missing
	Digest    string           `json:"digest"`   // of their lines, hexadecimal SHA-256
}

// Head vouches for a partition: all its messages up to and including Last, 0 if
// it had none.
type Head struct {
	Type      string           `json:"type"`
	Partition events.Partition `json:"partition"`
	Last      uint64           `json:"last"`
	Messages  uint64           `json:"messages"`
	Subject   string           `json:"subject"` // of the last message, as are Hash and Time
	Hash      string           `json:"hash"`    // its link of the chain, as its header says; empty if it has none
	Time      time.Time        `json:"time"`    // when the server stored it
	Digest    string           `json:"digest"`  // of the lines of all messages
}

// Workflow is the last message of one workflow, up to its partition's head.
type Workflow struct {
	Type        string           `json:"type"`
	Partition   events.Partition `json:"partition"`
	Namespace   string           `json:"namespace"`
	WorkflowID  string           `json:"workflow"`
	Run         events.RunID     `json:"run"`         // the newest; empty where the message is no commit
	LastEventID events.EventID   `json:"lastEventId"` // 0 where the message is no commit
	Sequence    uint64           `json:"sequence"`
	Hash        string           `json:"hash"` // as Head's
}

// End is the file's last line: it vouches for the lines before it.
type End struct {
	Type   string `json:"type"`
	Lines  int    `json:"lines"`  // before this one
	Digest string `json:"digest"` // SHA-256 of the bytes before this line
}
