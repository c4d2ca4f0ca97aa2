package pgstore

import (
	"context"
	"errors"

	"github.com/annals-io/annals/pkg/projection"
)

// isCurrent fails with projection.ErrVersion unless the live tables were found to
// be of this program's version, which is asked until they are. A program whose
// tables were replaced by a newer version reads on, as long as they have its columns.
func (s *Store) isCurrent(ctx context.Context) error {
	if s.current.Load() {
		return nil
	}
	err := s.CheckVersion(ctx)
	if err == nil {
		s.current.Store(true)
	}
	if errors.Is(err, projection.ErrVersion) {
		return err
	}
	return nil // what else is wrong the query says
}
