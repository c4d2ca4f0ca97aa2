package cli

import (
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/cwriter"
	"github.com/vbauerster/mpb/v8/decor"
)

// progressInterval lies between two log lines where there is no terminal.
const progressInterval = 10 * time.Second

// progress tells on standard error how far a long command is: by a bar on a
// terminal, else by a log line now and then. Its methods are safe for
// concurrent use.
type progress struct {
	what, unit  string
	done, total atomic.Int64 // steps
	events      atomic.Int64 // or what else the unit is
	note        atomic.Value // string: what else there is to say
	began       time.Time

	bars *mpb.Progress
	bar  *mpb.Bar

	stop    chan struct{}
	stopped sync.WaitGroup
}

// startProgress begins to tell about what, e.g. "import". The caller MUST
// call finish.
func (a *app) startProgress(what string) *progress { return a.startProgressOf(what, "event") }

// startProgressOf is startProgress where it is not events that are counted.
func (a *app) startProgressOf(what, unit string) *progress {
	p := &progress{what: what, unit: unit, began: time.Now(), stop: make(chan struct{})}
	if isTerminal(a.err) {
		p.bars = mpb.New(mpb.WithOutput(a.err), mpb.WithWidth(40))
		p.bar = p.bars.AddBar(0,
			mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.Name(what+" "), decor.Percentage()),
			mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return p.counted() })),
		)
		return p
	}
	p.stopped.Go(func() {
		tick := time.NewTicker(progressInterval)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				attrs := []any{slog.Int64("percent", 100*p.done.Load()/max(p.total.Load(), 1)), slog.Int64(unit+"s", p.events.Load()), slog.String("rate", p.rate())}
				if note := p.noted(); note != "" {
					attrs = append(attrs, slog.String("now", note))
				}
				slog.Info(what+" is under way", attrs...)
			case <-p.stop:
				return
			}
		}
	})
	return p
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && cwriter.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
}

// counted is how many events there were, where any are counted.
func (p *progress) counted() string {
	n := p.events.Load()
	if n == 0 {
		return p.noted()
	}
	s := plural(n, p.unit) + ", " + p.rate()
	if note := p.noted(); note != "" {
		s += ", " + note
	}
	return s
}

// noted is what else there is to say; empty: nothing.
func (p *progress) noted() string {
	note, _ := p.note.Load().(string)
	return note
}

// remark sets what else there is to say.
func (p *progress) remark(note string) { p.note.Store(note) }

// at sets what was done and how much there is, where both are known as a whole.
func (p *progress) at(done, total, events int64) {
	p.total.Store(total)
	p.done.Store(done)
	p.events.Store(events)
	if p.bar != nil {
		p.bar.SetTotal(total, false)
		p.bar.SetCurrent(done)
	}
}

// rate is events, or what else the unit is, a second since the start.
func (p *progress) rate() string { return rateOf(p.events.Load(), p.unit, time.Since(p.began)) }

// expect sets how many steps there are.
func (p *progress) expect(total int) {
	p.total.Store(int64(total))
	if p.bar != nil {
		p.bar.SetTotal(int64(total), false)
	}
}

// add counts what was done.
func (p *progress) add(steps, events int) {
	p.done.Add(int64(steps))
	p.events.Add(int64(events))
	if p.bar != nil && steps > 0 {
		p.bar.IncrBy(steps)
	}
}

// finish removes the bar, or ends the log lines.
func (p *progress) finish() {
	close(p.stop)
	p.stopped.Wait()
	if p.bars != nil {
		p.bar.Abort(true)
		p.bars.Wait()
	}
}
