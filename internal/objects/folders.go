package objects

import (
	"os"
	"path/filepath"
	"sync"
)

// folders makes names durable: it flushes folders, once for all who wait.
type folders struct {
	root string // what stands above it is none of our business
	sync func(dir string) error

	mu    sync.Mutex
	known map[string]bool // folders whose own name is durable
	busy  map[string]*folder
}

// folder is one that is being flushed.
type folder struct{ running, next *flush }

type flush struct {
	done chan struct{}
	err  error
}

// maxKnown bounds the memory; forgetting only costs flushes.
const maxKnown = 1 << 16

func newFolders(root string) *folders {
	return &folders{root: root, sync: syncFolder, known: map[string]bool{}, busy: map[string]*folder{}}
}

// create makes a folder and those above it. It is called when one was found missing, so
// whatever was known may have been removed by someone.
func (f *folders) create(dir string) error {
	f.mu.Lock()
	clear(f.known)
	f.mu.Unlock()
	return os.MkdirAll(dir, 0o700)
}

// settle returns when the names in dir, its own and those above it are durable.
func (f *folders) settle(dir string) error {
	if err := f.flush(dir); err != nil {
		return err
	}
	var fresh []string
	for dir != f.root && !f.isKnown(dir) {
		fresh = append(fresh, dir)
		dir = filepath.Dir(dir)
		if err := f.flush(dir); err != nil {
			return err
		}
	}
	// Only now: whoever finds a folder known goes no further up.
	f.learn(fresh)
	return nil
}

func (f *folders) isKnown(dir string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.known[dir]
}

func (f *folders) learn(dirs []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.known) >= maxKnown {
		clear(f.known)
	}
	for _, dir := range dirs {
		f.known[dir] = true
	}
}

// flush returns when a flush of dir that began after the call has ended. Whoever comes first
// flushes for all who come until it can begin.
func (f *folders) flush(dir string) error {
	f.mu.Lock()
	d := f.busy[dir]
	if d == nil {
		d = &folder{}
		f.busy[dir] = d
	}
	if theirs := d.next; theirs != nil {
		f.mu.Unlock()
		<-theirs.done
		return theirs.err
	}
	before, mine := d.running, &flush{done: make(chan struct{})}
	d.next = mine
	f.mu.Unlock()
	if before != nil {
		<-before.done
	}

	f.mu.Lock()
	d.running, d.next = mine, nil
	f.mu.Unlock()
	mine.err = f.sync(dir)
	f.mu.Lock()
	d.running = nil
	if d.next == nil {
		delete(f.busy, dir)
	}
	f.mu.Unlock()
	close(mine.done)
	return mine.err
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	return d.Sync()
}
