package cli

import (
	"context"

	"github.com/spf13/pflag"

	"github.com/annals-io/annals/pkg/projection/pgstore"
	"github.com/annals-io/annals/pkg/projection/postgres"
)

// projectionFlag adds the flag that names a projection.
func projectionFlag(f *pflag.FlagSet) *string {
	return f.String("projection", pgstore.Name, "the projection's `NAME`; another than "+pgstore.Name+" is one of your own")
}

// books are a projection's, by its name. Those of executions are asked by the program
// that their tables are of.
func (a *app) books(ctx context.Context, name string) (*postgres.Books, error) {
	store, err := a.tables(ctx)
	if err != nil {
		return nil, err
	}
	pool := store.Projection().Pool()
	if err := a.servers.Ping(ctx, pool); err != nil {
		return nil, err
	}
	if name == pgstore.Name {
		if err := store.CheckVersion(ctx); err != nil {
			return nil, err
		}
	}
	return postgres.OpenBooks(ctx, pool, name)
}

// ownProjection is why a command does not do something to the tables of a projection
// of one's own: it lacks what makes their rows.
func (a *app) ownProjection(ctx context.Context, name, what, how string) error {
	if _, err := a.books(ctx, name); err != nil {
		return err
	}
	return usagef("%s is a projection of your own: what %s is its handler, and this program has not got it. "+
		"The service that has does it by %s: see docs/projections.md", name, what, how)
}
