package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/coder/websocket"
)

// asApp says whether this test program is to be an app of a catalogue; see wildApp.
func asApp(args []string) bool { return len(args) > 1 && args[0] == "wild-app" }

const maxHead = 64 << 10

// tapped is a connection that remembers the heads of requests as they came.
type tapped struct {
	net.Conn
	mu    sync.Mutex
	heard bytes.Buffer
}

func (c *tapped) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	// A head is no longer than this; a body may be longer than the memory that the app is given.
	c.heard.Write(p[:min(n, max(0, maxHead-c.heard.Len()))])
	c.mu.Unlock()
	return n, err
}

// head gives the last request's head.
func (c *tapped) head() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	head, _, _ := bytes.Cut(c.heard.Bytes(), []byte("\r\n\r\n"))
	text := string(head)
	c.heard.Reset()
	return text
}

type tappedListener struct{ net.Listener }

func (l tappedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &tapped{Conn: conn}, nil
}

type connKey struct{}

// wildApp is an app that does whatever a story asks of it, by its paths.
func wildApp(behaviour string) int {
	fmt.Println("hello from", behaviour)
	switch behaviour {
	case "exits":
		fmt.Println("last words")
		return 1
	case "tells": // everything that it was told
		fmt.Println(strings.Join(os.Environ(), "\n"))
		return 1
	case "silent":
		<-context.Background().Done()
	case "deaf": // it listens where nobody looks
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 2
		}
		_ = http.Serve(listener, nil)
	case "slow":
		wait, _ := time.ParseDuration(os.Getenv("WAIT"))
		<-time.After(wait)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
	if err != nil {
		fmt.Println(err)
		return 2
	}
	server := &http.Server{
		Handler:     http.HandlerFunc(wild),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	go func() {
		<-ended
		os.Exit(0)
	}()
	_ = server.Serve(tappedListener{listener})
	return 0
}

var gone = struct {
	sync.Mutex
	n int
}{}

var posts = struct {
	sync.Mutex
	bodies []string
}{}

// wild answers. Whatever is no command shows the head of the request as it came.
func wild(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	size, _ := strconv.ParseInt(q.Get("n"), 10, 64)
	switch r.URL.Path {
	case "/pid":
		_, _ = fmt.Fprint(w, os.Getpid())
	case "/exit":
		fmt.Println("last words")
		os.Exit(7)
	case "/big":
		w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
		_, _ = io.Copy(w, randomFile("", 7, size).open())
	case "/sum":
		sum := sha256.New()
		_, _ = io.Copy(sum, r.Body)
		_, _ = io.WriteString(w, hex.EncodeToString(sum.Sum(nil)))
	case "/post":
		body, _ := io.ReadAll(r.Body)
		posts.Lock()
		posts.bodies = append(posts.bodies, r.Method+" "+string(body))
		posts.Unlock()
	case "/posts":
		posts.Lock()
		_, _ = io.WriteString(w, strings.Join(posts.bodies, "\n"))
		posts.Unlock()
	case "/sse":
		w.Header().Set("Content-Type", "text/event-stream")
		for ; ; <-time.After(200 * time.Millisecond) {
			if _, err := fmt.Fprintf(w, "data: %d\n\n", time.Now().UnixNano()); err != nil || r.Context().Err() != nil {
				gone.Lock()
				gone.n++
				gone.Unlock()
				return
			}
			w.(http.Flusher).Flush()
		}
	case "/gone":
		gone.Lock()
		_, _ = fmt.Fprint(w, gone.n)
		gone.Unlock()
	case "/hints":
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Set("Trailer", "X-Sum")
		_, _ = io.WriteString(w, "body")
		w.Header().Set("X-Sum", "42")
	case "/flood":
		for range 100 << 10 {
			w.Header().Add("X-Much", strings.Repeat("x", 1000))
		}
	case "/silence":
		<-r.Context().Done()
	case "/set":
		for _, line := range q["cookie"] {
			w.Header().Add("Set-Cookie", line)
		}
		w.Header().Set("Server", "wild")
	case "/go":
		own := r.Context().Value(http.LocalAddrContextKey).(net.Addr).String()
		w.Header().Set("Location", strings.ReplaceAll(q.Get("to"), "SELF", own))
		w.WriteHeader(http.StatusFound)
	case "/env":
		for _, line := range os.Environ() {
			fmt.Println(line)
		}
	case "/fail":
		w.WriteHeader(http.StatusBadGateway)
	case "/ws":
		socket(w, r)
	default:
		_, _ = io.Copy(io.Discard, r.Body)
		if c, ok := r.Context().Value(connKey{}).(*tapped); ok {
			_, _ = io.WriteString(w, c.head())
		}
	}
}

// socket answers every message; ?chatter= makes it talk by itself.
func socket(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true, Subprotocols: []string{"wild"}})
	if err != nil {
		return
	}
	c.SetReadLimit(4 << 20)
	ctx := r.Context()
	if every, err := time.ParseDuration(r.URL.Query().Get("chatter")); err == nil {
		go func() {
			for c.Write(ctx, websocket.MessageText, []byte("tick")) == nil {
				<-time.After(every)
			}
		}()
	}
	for {
		kind, message, err := c.Read(ctx)
		if err != nil {
			_ = c.CloseNow()
			return
		}
		if string(message) == "close" {
			_ = c.Close(4321, "as you wish")
			return
		}
		if err := c.Write(ctx, kind, message); err != nil {
			return
		}
	}
}
