package subjectlog

import (
	"context"
	"iter"
	"sync"

	"github.com/annals-io/annals/pkg/events"
)

// parsed is a message as the commit that it would be, with all of it that can be
// found out without the commits before.
type parsed struct {
	message events.Message
	commit  *events.Commit
	err     error // why it is no commit
	// after is the commit that follows was found for, nil if none was.
	after   *events.Commit
	follows error
	parts   parts
}

// parts are the events of a commit, once they are decoded.
type parts struct {
	decoded bool
	list    []events.SegmentEvents
	err     error
}

// link is a commit that is known to follow from the one before it.
type link struct {
	*events.Commit
	parts parts
}

// segments are the commit's, decoded at most once.
func (k link) segments() ([]events.SegmentEvents, error) {
	if k.parts.decoded {
		return k.parts.list, k.parts.err
	}
	return k.Segments()
}

func parse(w events.Workflow, m events.Message) parsed {
	c, err := decode(w, m)
	return parsed{message: m, commit: c, err: err}
}

// decoded is p, a commit, with its events if they are wanted.
func (p parsed) decoded(wanted func(*events.Commit) bool) parsed {
	if wanted(p.commit) {
		p.parts.decoded = true
		p.parts.list, p.parts.err = p.commit.Segments()
	}
	return p
}

// What is parsed ahead of a reader: pieces of so many messages, or of so many bytes
// of them and one message more; so many pieces are waiting, beside the one that is
// read and the one that is being filled.
const (
	pieceMessages = 64
	pieceBytes    = 256 << 10
	piecesWaiting = 4
)

// piece is messages that are parsed together, one goroutine a piece.
type piece struct {
	messages []events.Message
	bytes    int
	err      error // what ended the messages
	parsed   []parsed
	done     chan struct{}
}

// parse parses the piece, with the events of the commits that are wanted.
func (p *piece) parse(w events.Workflow, wanted func(*events.Commit) bool) {
	defer close(p.done)
	p.parsed = make([]parsed, len(p.messages))
	var before *events.Commit
	for i, m := range p.messages {
		q := &p.parsed[i]
		if *q = parse(w, m); q.err != nil {
			before = nil
			continue
		}
		if before != nil {
			q.after, q.follows = before, follows(before, q.commit)
		}
		before = q.commit
		*q = q.decoded(wanted)
	}
}

// ahead parses messages before they are asked for, on all processors. What is
// parsed and not yet yielded is bounded in bytes. No goroutine outlives it.
func ahead(ctx context.Context, w events.Workflow, wanted func(*events.Commit) bool, messages func(context.Context) iter.Seq2[events.Message, error]) iter.Seq2[parsed, error] {
	return func(yield func(parsed, error) bool) {
		reading, stop := context.WithCancel(ctx)
		var wg sync.WaitGroup
		defer wg.Wait()
		defer stop()
		pieces := make(chan *piece, piecesWaiting)
		cut := false // a piece could not be handed on; read when pieces is closed
		wg.Go(func() {
			defer close(pieces)
			p := &piece{}
			hand := func() bool {
				next := p
				next.done = make(chan struct{})
				p = &piece{}
				select {
				case pieces <- next:
				case <-reading.Done():
					cut = true
					return false
				}
				wg.Go(func() { next.parse(w, wanted) })
				return true
			}
			for m, err := range messages(reading) {
				if p.err = err; err != nil {
					break
				}
				p.messages = append(p.messages, m)
				p.bytes += len(m.Body)
				if (len(p.messages) == pieceMessages || p.bytes >= pieceBytes) && !hand() {
					return
				}
			}
			hand()
		})
		for p := range pieces {
			<-p.done
			for _, q := range p.parsed {
				if !yield(q, nil) {
					return
				}
			}
			if p.err != nil {
				yield(parsed{}, p.err)
				return
			}
		}
		if cut {
			yield(parsed{}, context.Cause(ctx))
		}
	}
}
