package postgres_test

import (
	"testing"

	"github.com/annals-io/annals/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }
