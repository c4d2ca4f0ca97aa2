// Replay is a workflow's code that changes, and the check whether runs that are
// under way still agree with it.
//
//	annals dev --ephemeral -- sh examples/replay/demo.sh
//
// With the name of a version of the code it is a check for annals replay:
//
//	annals replay --type Order --check ./order-check careful
//
// With run and that name it starts some orders by that version, and leaves them
// where they are to be shipped.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/natslog"
	"github.com/annals-io/annals/pkg/replay"
)

var versions = map[string]code{"first": first, "careless": careless, "careful": careful}

func main() {
	args := os.Args[1:]
	start := len(args) > 0 && args[0] == "run"
	if start {
		args = args[1:]
	}
	if len(args) != 1 || versions[args[0]] == nil {
		fmt.Fprintln(os.Stderr, "usage: order-check [run] first|careless|careful")
		os.Exit(2)
	}
	ctx := context.Background()
	var err error
	if start {
		err = runOrders(ctx, args[0])
	} else {
		err = replay.Serve(ctx, os.Stdin, os.Stdout, check(versions[args[0]]))
	}
	if err != nil {
		log.Fatal(err)
	}
}

// check makes of the code what a check asks: it decides in events, and events
// are for commands.
func check(decide code) replay.Code {
	return func(_ context.Context, t replay.Task) ([]*replay.Command, error) {
		return replay.CommandsOf(decide(t)...), nil
	}
}

func runOrders(ctx context.Context, version string) error {
	nc, err := nats.Connect(os.Getenv("NATS_URL"))
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	annals, err := natslog.Open(ctx, js, natslog.Config{})
	if err != nil {
		return err
	}
	for i := 1; i <= 3; i++ {
		w := events.Workflow{Namespace: "default", ID: fmt.Sprintf("order-%s-%d", version, i)}
		if err := run(ctx, annals, w, versions[version], "ship"); err != nil {
			return err
		}
	}
	fmt.Printf("3 orders by the code of %s are to be shipped\n", version)
	return nil
}
