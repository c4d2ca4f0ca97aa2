package importer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/annals-io/annals/pkg/events"
)

// Run imports the files, and the files in the folders, that paths name. Files
// that cannot go in are refused one by one; the others go in. It fails only if
// the context ends or the log turns out to be another one; what was imported
// until then is, and importing again goes on.
func Run(ctx context.Context, log Log, paths []string, c Config) (Summary, error) {
	c, err := c.withDefaults()
	if err != nil {
		return Summary{}, err
	}
	im := &importing{log: log, config: c}
	found := list(paths)
	c.Found(len(found.files) + len(found.refused))
	for _, r := range found.refused {
		c.Looked()
		im.report(r)
	}
	groups, err := im.look(ctx, found.files)
	if err != nil {
		return im.summary, err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(c.Workflows)
	for _, hs := range groups {
		g.Go(func() error {
			for _, h := range order(hs) {
				if err := im.take(gctx, h); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err = g.Wait()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return im.summary, err
}

// importing is an import under way.
type importing struct {
	log    Log
	config Config
	kept   atomic.Int64 // bytes of files that stay decoded
	// answered counts the pages of histories that a server gave.
	answered atomic.Int64

	mu      sync.Mutex // guards summary, and that one result is reported at a time
	summary Summary
}

func (im *importing) report(r Result) {
	im.mu.Lock()
	defer im.mu.Unlock()
	im.summary.count(r)
	im.config.Report(r)
}

// refused reports that a file does not go in.
func (im *importing) refused(h *history, err error, failed bool) {
	r := h.result()
	r.Outcome, r.Reason, r.Failed = Refused, err.Error(), failed
	im.report(r)
}

func (h *history) result() Result {
	return Result{File: h.file, Workflow: h.workflow.ID, Run: string(h.run), Events: h.count, Dropped: h.dropped, Kept: h.kept}
}

// look decodes all files and puts those of one workflow together, in the order
// of the files.
func (im *importing) look(ctx context.Context, files []string) ([][]*history, error) {
	hs := make([]*history, len(files))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(im.config.Decoders)
	for i, file := range files {
		g.Go(func() error {
			if gctx.Err() != nil {
				return context.Cause(gctx)
			}
			h, err := im.config.read(file)
			im.config.Looked()
			if err != nil {
				im.refused(h, err, false)
				return nil
			}
			if im.kept.Add(h.size) > im.config.KeepBytes {
				im.kept.Add(-h.size)
				h.events = nil
			}
			hs[i] = h
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	place := map[string]int{}
	var groups [][]*history
	for _, h := range hs {
		if h == nil {
			continue
		}
		i, ok := place[h.workflow.ID]
		if !ok {
			i = len(groups)
			place[h.workflow.ID] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], h)
	}
	return groups, nil
}

// take imports one file and reports what became of it. It fails only with what
// ends the whole import.
func (im *importing) take(ctx context.Context, h *history) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	defer func() { h.events = nil }()
	if err := im.config.load(h); err != nil {
		im.refused(h, err, false)
		return nil
	}
	bounded, cancel := context.WithTimeout(ctx, im.config.Timeout)
	defer cancel()
	f := &filing{importing: im, h: h, run: h.run}
	err := f.file(bounded)
	h.run = f.run
	switch {
	case err == nil:
		r := h.result()
		r.Outcome, r.Reason, r.Appended = f.outcome, f.note, f.appended
		im.report(r)
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case isRefusal(err):
		im.refused(h, err, false)
	case errors.Is(err, events.ErrWrongLog):
		return err
	default:
		im.refused(h, fmt.Errorf("not finished within %s, import it again: %w", im.config.Timeout, err), true)
	}
	return nil
}
