package cli_test

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/annals-io/annals/internal/cli"
	"github.com/annals-io/annals/internal/testenv"
)

// programs are what this test binary is when it is started by one of the names.
var programs = map[string]func(context.Context, []string, cli.Streams) int{
	"annals":    cli.Annals,
	"projector": cli.Projector,
	"ingest":    cli.Ingest,
}

func TestMain(m *testing.M) {
	if program, ok := programs[filepath.Base(os.Args[0])]; ok {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		code := program(ctx, os.Args[1:], cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
		stop()
		os.Exit(code)
	}
	testenv.Main(m)
}

// install puts the programs into a folder and returns it.
func install(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	for name := range programs {
		if err := os.Symlink(self, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	return bin
}
