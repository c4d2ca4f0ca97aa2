package projection

import (
	"context"

	"github.com/annals-io/annals/pkg/searchattribute"
)

// meet has the registrar, if there is one, take note of the search attributes that
// commits set, and gives the commits what is registered then. The events of a base were met in the run that they were written in.
func meet(ctx context.Context, r *searchattribute.Registrar, commits []Commit) error {
	if r == nil {
		return nil
	}
	for i := range commits {
		c := &commits[i]
		for _, part := range c.Segments {
			for _, e := range part.Events {
				if err := r.Meet(ctx, c.Workflow, c.Position, e); err != nil {
					return err
				}
			}
		}
	}
	registry := r.Registry()
	for i := range commits {
		commits[i].Attributes = registry
	}
	return nil
}
