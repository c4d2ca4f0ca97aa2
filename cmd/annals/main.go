// Command annals is the durable record of every workflow, for people: see
// annals --help.
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
	code := cli.Annals(ctx, os.Args[1:], cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
	stop()
	os.Exit(code)
}
