package dev

import (
	"context"
	"errors"
	"fmt"
)

// Run starts everything, and stops it when the command has ended, or without
// one when the context ends. It gives the command's exit code, 128 and the
// signal's number if one killed it, and 0 without a command. It fails as Start
// does, or with *EndedError if a part ends by itself.
func Run(ctx context.Context, o RunOptions) (code int, err error) {
	d, err := Start(ctx, o.Options)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, d.Stop()) }()
	if len(o.Command) > 0 {
		return d.command(o)
	}
	if _, err := fmt.Fprint(o.Out, d.Exports()); err != nil {
		return 0, fmt.Errorf("print the URLs: %w", err)
	}
	select {
	case <-ctx.Done():
		return 0, nil
	case err := <-d.Ended():
		return 0, err
	}
}
