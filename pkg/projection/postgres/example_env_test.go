package postgres_test

import (
	"context"
	"log"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-io/annals/internal/embedpg"
	"github.com/annals-io/annals/pkg/projection/postgres"
)

// exampleDatabase is an empty database on a server of its own, for an example,
// which has no *testing.T.
func exampleDatabase() (pool *pgxpool.Pool, end func()) {
	ctx := context.Background()
	s, err := embedpg.Start(ctx, embedpg.Options{Ephemeral: true})
	if err != nil {
		log.Fatal(err)
	}
	if pool, err = postgres.OpenPool(ctx, s.ConnString("postgres"), postgres.PoolConfig{}); err != nil {
		log.Fatal(err)
	}
	return pool, func() {
		pool.Close()
		if err := s.Stop(); err != nil {
			log.Fatal(err)
		}
	}
}
