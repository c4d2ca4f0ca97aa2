package pgfault

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"regexp"
	"strings"
	"sync"
)

// connection is one client's way to the server. Two goroutines carry its messages until either end closes it.
type connection struct {
	injector       *Injector
	client, server net.Conn
	done           chan struct{}
	once           sync.Once

	// of the goroutine that carries to the server
	statements, portals map[string]string // texts, by name
	inTransaction       bool
	step                int
	copying             string // the table of a COPY under way

	mu      sync.Mutex // guards waiting, which one goroutine fills and the other empties
	waiting []*sent
}

// sent is a message that the server answers.
type sent struct {
	kind   byte // of the message: Query, Parse, Execute, CopyDone, Sync
	text   string
	cut    bool
	failed bool
}

// remote is the client's end, which says the server's address: a request to cancel goes there.
type remote struct {
	net.Conn
	addr net.Addr
}

func (r remote) RemoteAddr() net.Addr { return r.addr }

func (i *Injector) between(server net.Conn) net.Conn {
	client, ours := net.Pipe()
	c := &connection{
		injector: i, client: ours, server: server, done: make(chan struct{}),
		statements: map[string]string{}, portals: map[string]string{},
	}
	go c.up()
	go c.down()
	return remote{client, server.RemoteAddr()}
}

func (c *connection) close() {
	c.once.Do(func() {
		close(c.done)
		_ = c.client.Close()
		_ = c.server.Close()
	})
}

// The kinds of messages: https://www.postgresql.org/docs/15/protocol-message-formats.html.
const (
	query, parse, bind, execute, sync_, copyDone, flush    = 'Q', 'P', 'B', 'E', 'S', 'c', 'H'
	parsed, complete, nothing, suspended, ready, copyIn, e = '1', 'C', 'I', 's', 'Z', 'G', 'E'
)

// read reads one message, whole.
func read(r *bufio.Reader) ([]byte, error) {
	head, err := r.Peek(5)
	if err != nil {
		return nil, err
	}
	m := make([]byte, 1+binary.BigEndian.Uint32(head[1:]))
	_, err = io.ReadFull(r, m)
	return m, err
}

// up carries to the server.
func (c *connection) up() {
	defer c.close()
	r, w := bufio.NewReader(c.client), bufio.NewWriter(c.server)
	if err := begin(r, w); err != nil {
		return
	}
	for {
		m, err := read(r)
		if err != nil {
			return
		}
		s, text := c.statement(m)
		if text == "" {
			if m[0] == sync_ {
				c.expect(&sent{kind: sync_})
			}
			if c.write(w, m, r.Buffered() == 0) != nil {
				return
			}
			continue
		}
		fault := c.injector.ask(s)
		if fault == Before {
			_ = w.Flush()
			c.injector.count(Happened{Statement: text, Fault: Before})
			return
		}
		c.expect(&sent{kind: m[0], text: text, cut: fault == After})
		if c.write(w, m, fault == None && r.Buffered() == 0) != nil {
			return
		}
		if fault == After {
			if m[0] == parse || m[0] == execute { // have it answered now
				_ = c.write(w, []byte{flush, 0, 0, 0, 4}, false)
			}
			_ = w.Flush()
			<-c.done
			return
		}
	}
}

// begin carries what a connection begins with, which has no kind.
func begin(r *bufio.Reader, w *bufio.Writer) error {
	head, err := r.Peek(4)
	if err != nil {
		return err
	}
	if _, err := io.CopyN(w, r, int64(binary.BigEndian.Uint32(head))); err != nil {
		return err
	}
	return w.Flush()
}

func (c *connection) write(w *bufio.Writer, m []byte, flush bool) error {
	if _, err := w.Write(m); err != nil {
		return err
	}
	if flush {
		return w.Flush()
	}
	return nil
}

// statement is what a message has the server do; empty: nothing of its own.
func (c *connection) statement(m []byte) (s Statement, text string) {
	word := func(b []byte) (string, []byte) {
		before, after, _ := bytes.Cut(b, []byte{0})
		return string(before), after
	}
	switch m[0] {
	case query:
		sql, _ := word(m[5:])
		text = short(sql)
		if c.copying = ""; strings.HasPrefix(text, "COPY ") {
			c.copying = text
		}
	case parse:
		name, rest := word(m[5:])
		sql, _ := word(rest)
		c.statements[name], text = short(sql), "prepare"
	case bind:
		portal, rest := word(m[5:])
		name, _ := word(rest)
		c.portals[portal] = c.statements[name]
	case execute:
		portal, _ := word(m[5:])
		text = c.portals[portal]
	case copyDone:
		text = c.copying + ", its end"
	}
	if text == "" {
		return Statement{}, ""
	}
	if text == "begin" {
		c.inTransaction, c.step = true, -1
	}
	s = Statement{Text: text, Step: -1}
	if c.inTransaction {
		c.step++
		s.Step = c.step
	}
	if text == "commit" || text == "rollback" {
		c.inTransaction = false
	}
	return s, text
}

var (
	comments = regexp.MustCompile(`--[^\n]*\n`)
	named    = regexp.MustCompile(`\bannals\w*"?\."?(\w+)`)
)

// short is a statement's command and its table.
func short(sql string) string {
	sql = strings.TrimSpace(comments.ReplaceAllString(sql, ""))
	end := strings.IndexFunc(sql, func(r rune) bool { return r == ' ' || r == '\n' || r == ';' })
	if end < 0 {
		end = len(sql)
	}
	text := strings.ToUpper(sql[:end])
	switch text {
	case "BEGIN", "COMMIT", "ROLLBACK":
		return strings.ToLower(text)
	case "":
		return "nothing"
	}
	if m := named.FindStringSubmatch(sql); m != nil {
		text += " " + m[1]
	}
	return text
}

func (c *connection) expect(s *sent) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.kind == query { // sent only when nothing is under way
		c.waiting = c.waiting[:0]
	}
	c.waiting = append(c.waiting, s)
}

// down carries to the client.
func (c *connection) down() {
	defer c.close()
	r, w := bufio.NewReader(c.server), bufio.NewWriter(c.client)
	for {
		m, err := read(r)
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				_ = w.Flush()
			}
			return
		}
		if s := c.answered(m[0]); s != nil {
			c.injector.count(Happened{Statement: s.text, Fault: After, Failed: s.failed})
			return
		}
		if c.write(w, m, r.Buffered() == 0) != nil {
			return
		}
	}
}

// answered takes what a message of the server answers, and returns it if its answer is to be lost.
func (c *connection) answered(kind byte) *sent {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waiting) == 0 {
		return nil
	}
	first := c.waiting[0]
	done := false
	switch kind {
	case e:
		for _, s := range c.waiting { // what is behind it is not run
			if s.failed = true; s.cut {
				return s
			}
			if s.kind == sync_ {
				s.failed = false
				break
			}
		}
		return nil
	case parsed:
		done = first.kind == parse
	case complete, nothing, suspended:
		done = first.kind == execute
	case copyIn:
		done = first.kind == query
	case ready:
		for len(c.waiting) > 0 {
			s := c.waiting[0]
			c.waiting = c.waiting[1:]
			if s.cut {
				return s
			}
			if s.kind == sync_ || s.kind == query || s.kind == copyDone {
				return nil
			}
		}
	}
	if !done {
		return nil
	}
	c.waiting = c.waiting[1:]
	if first.cut {
		return first
	}
	return nil
}
