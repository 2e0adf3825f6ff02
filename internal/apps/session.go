package apps

import (
	"time"

	"lodge/internal/access"
)

// Session is an app session: one running copy of an app for one person, or what is known of the last one.
type Session struct {
	ID      string
	OwnerID string
	App     AppID
	// Name tells named app sessions apart; "" is the unnamed one.
	Name string
	// Host is the first label of its host name.
	Host  string
	State State
	Cause Cause
	// Message says more about the cause, for people.
	Message string
	// Run counts launches, Version every change.
	Run, Version int64
	Driver       string
	// Entry is the catalogue's entry as it was at the launch.
	Entry   App
	Options map[string]any
	By      launcher
	// CPU is promised in thousandths of a core, Memory in bytes.
	CPU, Memory int64
	Address     string
	ImageDigest string
	Step        string
	Percent     int
	Exit        *Exit
	LogTail     string
	Failures    []time.Time

	Created, Queued, Started, Ready, Ended time.Time
	GraceUntil                             time.Time
	// Extended is how far the owner has put off the end.
	Extended time.Duration
	Warned   time.Time
	Active   time.Time
	ActiveBy string
	// Visitor is who used it last of those whose it is not, and may help.
	Visitor string
	Visited time.Time
}

// launcher is who launched, as far as the start must know it: hours later nobody has a token any more.
type launcher struct {
	Issuer  string        `json:"issuer"`
	Subject string        `json:"subject"`
	Name    string        `json:"name"`
	Email   string        `json:"email,omitempty"`
	Roles   []access.Role `json:"roles,omitempty"`
	Admin   bool          `json:"admin,omitempty"`
	// Person says that there is a row in users.
	Person bool `json:"person"`
	// Browser says that it was a browser's login.
	Browser bool `json:"browser,omitempty"`
}

// hostLabel is the first label of an app session's host name. No part contains "--", so two can
// never make the same.
func hostLabel(app AppID, slug, name string) string {
	label := string(app) + "--" + slug
	if name != "" {
		label += "--" + name
	}
	return label
}

// Progress is one event of a start, as JupyterHub's clients know it and a little more.
type Progress struct {
	Progress int    `json:"progress"`
	Step     string `json:"step"`
	Message  string `json:"message"`
	State    State  `json:"state"`
	Ready    bool   `json:"ready,omitempty"`
	URL      string `json:"url,omitempty"`
	Failed   bool   `json:"failed,omitempty"`
	Cause    Cause  `json:"cause,omitempty"`
	Position int    `json:"position,omitempty"`
	Done     int64  `json:"done,omitempty"`
	Total    int64  `json:"total,omitempty"`
	// At is when it happened; a place in the queue is told without.
	At time.Time `json:"at,omitzero"`
}

// percents is where each step begins, so that the bar only grows.
var percents = map[string]int{"permitted": 5, "queued": 10, "image": 15, "create": 60, "start": 70, "answer": 80}
