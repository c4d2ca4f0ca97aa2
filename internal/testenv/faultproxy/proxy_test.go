package faultproxy

import (
	"bufio"
	"net"
	"testing"
	"time"
)

// patience ends what should never take as long.
const patience = time.Minute

// echo is a server that says what it hears, line by line, and tells what it heard.
func echo(t *testing.T) (addr string, heard <-chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	lines := make(chan string, 100)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for in := bufio.NewScanner(c); in.Scan(); {
					lines <- in.Text()
					if _, err := c.Write([]byte(in.Text() + "\n")); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String(), lines
}

type client struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

func dial(t *testing.T, p *Proxy) *client {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return &client{t: t, conn: c, in: bufio.NewReader(c)}
}

func (c *client) say(line string) {
	c.t.Helper()
	if _, err := c.conn.Write([]byte(line + "\n")); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) hears(want string) {
	c.t.Helper()
	if got, err := c.in.ReadString('\n'); err != nil || got != want+"\n" {
		c.t.Fatalf("heard %q, %v, want %q", got, err, want)
	}
}

// isCut: nothing comes any more but the end.
func (c *client) isCut() {
	c.t.Helper()
	if got, err := c.in.ReadString('\n'); err == nil || got != "" {
		c.t.Fatalf("heard %q, %v, want the end", got, err)
	}
}

func wait(t *testing.T, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		t.Fatalf("%s did not happen", what)
	}
}

func TestFaults(t *testing.T) {
	server, heard := echo(t)
	p := New(t, server)
	c := dial(t, p)
	c.say("through")
	c.hears("through")
	if got := <-heard; got != "through" {
		t.Errorf("the server heard %q", got)
	}

	lost := p.Lose(ToClient)
	c.say("answer lost")
	if got := <-heard; got != "answer lost" {
		t.Errorf("the server heard %q", got)
	}
	wait(t, lost, "the loss of an answer")
	p.Pass()
	c.isCut() // and nothing of it came

	c = dial(t, p)
	lost = p.Lose(ToServer)
	c.say("request lost")
	wait(t, lost, "the loss of a request")
	p.Pass()
	c.isCut()

	c = dial(t, p)
	waits := p.Hold(ToServer)
	c.say("late")
	wait(t, waits, "a wait")
	p.Pass()
	c.hears("late")
	if got := <-heard; got != "late" {
		t.Errorf("the server heard %q, and not what was late: what was lost came", got)
	}

	if n := p.Cut(); n < 1 || n > 3 { // those that Pass has cut may still be ending
		t.Errorf("%d connections were cut", n)
	}
	c.isCut()
	c = dial(t, p)
	c.say("again")
	c.hears("again")

	severed := p.Sever()
	wait(t, severed, "an end")
	c.isCut()
	dial(t, p).isCut()
	p.Pass()
	c = dial(t, p)
	c.say("healed")
	c.hears("healed")
}
