package embednats

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/nats-io/nats-server/v2/server"
)

// GlobalAccount is the account of connections to a server without [Options].Accounts.
const GlobalAccount = "$G"

// byName lets a connection into the account that its user name names.
type byName struct {
	lookup func(name string) (*server.Account, error)
}

// Check implements [server.Authentication].
func (b byName) Check(c server.ClientAuthentication) bool {
	name := c.GetOpts().Username
	if name == "" {
		return false
	}
	account, err := b.lookup(name)
	if err != nil {
		return false
	}
	c.RegisterUser(&server.User{Username: name, Account: account})
	return true
}

// AddAccount makes an account with JetStream and without limits. Connections use it by giving its name
// as their user name. It exists until [Server.RemoveAccount] or until the server stops.
func (s *Server) AddAccount(name string) error {
	account, err := s.nats.RegisterAccount(name)
	if err != nil {
		return fmt.Errorf("add account %s: %w", name, err)
	}
	if err := account.EnableJetStream(nil, nil); err != nil {
		return fmt.Errorf("add account %s: %w", name, err)
	}
	return nil
}

// RemoveAccount ends JetStream for the account and deletes what it stored. Its connections MUST be closed
// before, and on a [Cluster] its streams deleted by their own API.
func (s *Server) RemoveAccount(name string) error {
	account, err := s.nats.LookupAccount(name)
	if err != nil {
		return fmt.Errorf("remove account %s: %w", name, err)
	}
	if err := account.DisableJetStream(); err != nil {
		return fmt.Errorf("remove account %s: %w", name, err)
	}
	// On a cluster the server still moves and deletes a stream's folder that
	// another one had it delete, and may put something there meanwhile.
	folder := filepath.Join(s.store.dir, server.JetStreamStoreDir, name)
	err = backoff.Retry(func() error {
		err := os.RemoveAll(folder)
		if err != nil && !errors.Is(err, syscall.ENOTEMPTY) {
			err = backoff.Permanent(err)
		}
		return err
	}, backoff.NewExponentialBackOff(backoff.WithInitialInterval(5*time.Millisecond), backoff.WithMaxElapsedTime(time.Minute)))
	if err != nil {
		return fmt.Errorf("remove account %s: %w", name, err)
	}
	return nil
}
