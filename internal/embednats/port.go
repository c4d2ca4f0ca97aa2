package embednats

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports that must stay the same over a restart are taken from below the range that systems give to
// outgoing connections: a client that keeps dialling a free port of that range can meet itself.
const (
	lowestPort  = 20000
	highestPort = 32000
)

// StablePorts finds n different free ports of the loopback interface that stay usable for a server that
// is stopped and started again. Nothing reserves them once it returns.
func StablePorts(n int) ([]int, error) {
	var ports []int
	for range 1000 {
		if len(ports) == n {
			return ports, nil
		}
		port := lowestPort + rand.IntN(highestPort-lowestPort)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		// Bound until all are found, so that none is found twice.
		defer l.Close()
		ports = append(ports, port)
	}
	return nil, fmt.Errorf("fewer than %d free ports between %d and %d on 127.0.0.1", n, lowestPort, highestPort)
}
