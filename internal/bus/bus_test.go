package bus_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"go.uber.org/goleak"

	"lodge/internal/bus"
	"lodge/internal/fault"
	"lodge/internal/secret"
)

func open(t *testing.T, url string) *bus.Bus {
	t.Helper()
	b, err := bus.Open(bus.Config{URL: secret.String(url)}, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func subscribe(t *testing.T, b *bus.Bus, subject string, size int) <-chan bus.Message {
	t.Helper()
	messages, err := b.Subscribe(t.Context(), subject, size)
	if err != nil {
		t.Fatal(err)
	}
	return messages
}

func publish(t *testing.T, b *bus.Bus, subject, text string) {
	t.Helper()
	if err := b.Publish(subject, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

// next is the message that comes next.
func next(t *testing.T, messages <-chan bus.Message) bus.Message {
	t.Helper()
	select {
	case m, open := <-messages:
		if !open {
			t.Fatal("the subscription ended")
		}
		return m
	case <-time.After(20 * time.Second):
		t.Fatal("no message came")
	}
	return bus.Message{}
}

func TestMessagesArrive(t *testing.T) {
	t.Parallel()
	b := open(t, "")
	one, all := subscribe(t, b, "work.upload", 8), subscribe(t, b, "work.*", 8)
	publish(t, b, "other", "not for us")
	publish(t, b, "work.upload", "a")
	publish(t, b, "work.audit", "b")
	if m := next(t, one); m.Subject != "work.upload" || string(m.Data) != "a" {
		t.Errorf("got %s %q, want work.upload a", m.Subject, m.Data)
	}
	for _, want := range []string{"work.upload a", "work.audit b"} {
		if m := next(t, all); m.Subject+" "+string(m.Data) != want {
			t.Errorf("got %s %q, want %s", m.Subject, m.Data, want)
		}
	}
	if err := b.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// A subscriber that does not read costs nobody anything, and finds the newest messages
// when it comes back.
func TestSlowSubscriberLosesTheOldest(t *testing.T) {
	t.Parallel()
	b := open(t, "")
	const count, size = 20_000, 10
	slow, quick := subscribe(t, b, "news", size), subscribe(t, b, "news", count)
	var publishers sync.WaitGroup
	for range 2 {
		publishers.Go(func() {
			for i := range count / 2 {
				publish(t, b, "news", strconv.Itoa(i))
			}
		})
	}
	publishers.Wait()
	publish(t, b, "news", "last")
	for got := ""; got != "last"; {
		got = string(next(t, quick).Data)
	}
	// The last has come to one subscriber; the other may be a moment behind.
	seen := 0
	for got := ""; got != "last"; seen++ {
		got = string(next(t, slow).Data)
	}
	if seen > count/2 {
		t.Errorf("the slow subscriber kept %d messages, want about %d", seen, size)
	}
}

func TestSubscriptionEnds(t *testing.T) {
	t.Parallel()
	b := open(t, "")
	ctx, cancel := context.WithCancel(t.Context())
	messages, err := b.Subscribe(ctx, "news", 1)
	if err != nil {
		t.Fatal(err)
	}
	other := subscribe(t, b, "news", 1)
	var publishing sync.WaitGroup
	publishing.Go(func() {
		for range 1000 {
			publish(t, b, "news", "x")
		}
	})
	cancel()
	for range messages {
		// Until it is closed.
	}
	publishing.Wait()
	next(t, other)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	for range other {
		// Until it is closed.
	}
	if err := b.Publish("news", nil); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a closed bus said %v, want unavailable", err)
	}
	if err := b.Check(t.Context()); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a closed bus is found well: %v", err)
	}
}

func TestReplicasShareACluster(t *testing.T) {
	t.Parallel()
	url, stop := cluster(t, -1)
	one, two := open(t, url), open(t, url)
	messages := subscribe(t, two, "news", 1)
	publish(t, one, "news", "hello")
	if m := next(t, messages); string(m.Data) != "hello" {
		t.Errorf("got %q", m.Data)
	}
	if err := one.Check(t.Context()); err != nil {
		t.Error(err)
	}
	stop()
	until(t, "the loss is noticed", func() bool { return fault.Is(one.Check(t.Context()), fault.Unavailable) })
}

// Lodge starts without its cluster, and connects when it comes.
func TestClusterComesLater(t *testing.T) {
	t.Parallel()
	url, stop := cluster(t, -1)
	stop()
	b := open(t, url)
	messages := subscribe(t, b, "news", 1)
	if err := b.Check(t.Context()); !fault.Is(err, fault.Unavailable) {
		t.Errorf("without a cluster: %v, want unavailable", err)
	}
	port, err := strconv.Atoi(url[strings.LastIndex(url, ":")+1:])
	if err != nil {
		t.Fatal(err)
	}
	cluster(t, port)
	until(t, "the cluster is found", func() bool { return b.Check(t.Context()) == nil })
	publish(t, b, "news", "hello")
	if m := next(t, messages); string(m.Data) != "hello" {
		t.Errorf("got %q", m.Data)
	}
}

func TestBadAddresses(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"nats://u:hidden@h:4222?colour=red", "nats://u:hidden@h:port:x", "nats://u:hidden@h:1?ca_file=/does/not/exist"} {
		var log bytes.Buffer
		_, err := bus.Open(bus.Config{URL: secret.String(url)}, slog.New(slog.NewTextHandler(&log, nil)))
		if !fault.Is(err, fault.Invalid) || strings.Contains(err.Error()+log.String(), "hidden") {
			t.Errorf("Open(%s) gave %v, want invalid and no password", url, err)
		}
	}
}

func TestCloseLeavesNoGoroutine(t *testing.T) {
	ignore := goleak.IgnoreCurrent()
	b := open(t, "")
	subscribe(t, b, "news", 1)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	goleak.VerifyNone(t, ignore)
}

func BenchmarkPublish(b *testing.B) {
	news, err := bus.Open(bus.Config{}, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = news.Close() }()
	messages, err := news.Subscribe(b.Context(), "news", 1)
	if err != nil {
		b.Fatal(err)
	}
	payload := bytes.Repeat([]byte("x"), 200)
	for b.Loop() {
		if err := news.Publish("news", payload); err != nil {
			b.Fatal(err)
		}
	}
	<-messages
}

// cluster is a NATS server of its own, as sites run them.
func cluster(t *testing.T, port int) (url string, stop func()) {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the test's server does not start")
	}
	stop = func() { s.Shutdown(); s.WaitForShutdown() }
	t.Cleanup(stop)
	return fmt.Sprintf("nats://%s", s.Addr()), stop
}

func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.After(20 * time.Second); !done(); {
		select {
		case <-deadline:
			t.Fatalf("waited in vain until %s", what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
