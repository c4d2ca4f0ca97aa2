// Command ingest is the service that workers in any language append to and read
// from: see ingest --help.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/annals-io/annals/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	code := cli.Ingest(ctx, os.Args[1:], cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
	stop()
	os.Exit(code)
}
