package temporal

import (
	"os"
	"testing"

	"github.com/annals-io/annals/internal/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Run(m)) }
