package apps

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"lodge/internal/fault"
	"lodge/internal/httpapi"
)

//go:embed pages/page.html
var pageFiles embed.FS

func (f *front) loadPages() (err error) {
	f.pages, err = template.ParseFS(pageFiles, "pages/page.html")
	return err
}

// page is what Lodge shows in place of an app.
type page struct {
	Title, Lead, Detail, Message, Log, Help, Contact, Home, Base, Again, Onward string
	Bad, Refresh, Live                                                          bool
	Percent                                                                     int
	Steps                                                                       []pageStep
	Buttons                                                                     []pageButton
	Nonce, RequestID                                                            string
}

type pageStep struct{ Name, Label, Class string }

type pageButton struct {
	Action, Label string
	Second        bool
}

// labels are the steps of a start in their order: permission and limits are looked at again once there is a place.
var labels = []pageStep{
	{Name: "queued", Label: "A place is free"},
	{Name: "permitted", Label: "You may use it"},
	{Name: "image", Label: "Its image is here"},
	{Name: "create", Label: "It has its own room"},
	{Name: "start", Label: "It runs"},
	{Name: "answer", Label: "It answers"},
}

// stepsAt marks where a start is.
func stepsAt(step string) []pageStep {
	list := slices.Clone(labels)
	at := slices.IndexFunc(list, func(s pageStep) bool { return s.Name == step })
	for i := range list {
		switch {
		case i < at:
			list[i].Class = "done"
		case i == at:
			list[i].Class = "now"
		}
	}
	return list
}

// show writes a page. It may not be framed, kept, or run anything but its own script.
func (f *front) show(w http.ResponseWriter, r *http.Request, status int, p page) {
	p.Nonce = rand.Text()
	if p.Home == "" {
		p.Home = f.public.Scheme + "://" + f.public.Host + "/ui/apps/catalogue"
	}
	if p.Bad || status >= http.StatusBadRequest {
		p.Contact = f.cfg.Contact
	}
	var out bytes.Buffer
	if err := f.pages.Execute(&out, p); err != nil {
		httpapi.WriteProblem(w, r, fmt.Errorf("write a page: %w", err))
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'nonce-"+p.Nonce+"'; script-src 'nonce-"+p.Nonce+"'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Content-Length", strconv.Itoa(out.Len()))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(out.Bytes()) // the client went away
	}
}

// whereTo is the address that a page stands at, or the app's first page for what cannot be asked for again.
func whereTo(r *http.Request, p *passage) string {
	back := r.URL.RequestURI()
	if r.Method != http.MethodGet || !localPath(back) {
		return p.prefix + "/"
	}
	return back
}

// button posts to Lodge's own address on the app's host and comes back to where the page was.
func button(r *http.Request, p *passage, what, label string, second bool) pageButton {
	back := whereTo(r, p)
	return pageButton{Action: p.prefix + ownPath + what + "?" + url.Values{"next": {back}}.Encode(), Label: label, Second: second}
}

func (f *front) showProgress(w http.ResponseWriter, r *http.Request, p *passage) {
	view := page{
		Title: "Starting " + p.app.Name, Lead: "It opens here by itself as soon as it answers.", Message: p.row.Message,
		Percent: p.row.Percent, Steps: stepsAt(p.row.Step), Refresh: true, Live: true, Base: p.prefix + ownPath,
		Buttons: []pageButton{button(r, p, "stop", "Cancel", true)},
	}
	if p.row.State == Queued {
		if place, err := f.position(r.Context(), p.row.ID); err == nil && place > 0 {
			view.Message = fmt.Sprintf("%s (place %d in the queue)", view.Message, place)
		}
	}
	f.show(w, r, http.StatusOK, view)
}

// showState says why there is no app to see, and what can be done.
func (f *front) showState(w http.ResponseWriter, r *http.Request, p *passage) {
	name, row := p.app.Name, p.row
	var view page
	switch row.State {
	case Failed:
		view = page{
			Title: name + " has failed", Lead: cmp.Or(row.Message, row.Cause.advice()), Bad: true, Log: row.LogTail,
			Detail: beside(row.Cause.advice(), row.Message), Help: "If it keeps failing, show this page to whoever can help.",
			Buttons: []pageButton{button(r, p, "start", "Try again", false)},
		}
		if wait := crashLoop(row.Failures, f.now()); wait > 0 {
			view.Detail = fmt.Sprintf("%s It can be started again in %d seconds.", CauseCrashLoop.advice(), int(wait/time.Second)+1)
		}
	case Stopping:
		view = page{Title: name + " is being stopped", Lead: row.Cause.advice(), Refresh: true, Live: true, Base: p.prefix + ownPath, Steps: nil}
	default:
		view = page{Title: name + " is not running", Lead: row.Cause.advice(), Detail: p.app.Description, Buttons: []pageButton{button(r, p, "start", "Start", false)}}
	}
	if p.foreign {
		view.Buttons, view.Help = nil, "This app session belongs to "+p.owner.Name+"."
	}
	f.show(w, r, http.StatusOK, view)
}

// beside is what an advice adds to what a page says already. The log has a line of its own there.
func beside(advice, message string) string {
	advice = strings.TrimSpace(strings.TrimSuffix(advice, "Its last lines are below."))
	said, rest, _ := strings.Cut(advice, ". ")
	if message == "" || strings.HasPrefix(message, strings.TrimSuffix(said, ".")) {
		return rest
	}
	return advice
}

// showBroken answers for an app that should answer and did not.
func (f *front) showBroken(w http.ResponseWriter, r *http.Request, p *passage) {
	if p.row.State != Running {
		f.showState(w, r, p)
		return
	}
	f.show(w, r, p.status, page{
		Title: p.app.Name + " does not answer", Lead: "It runs, but gave no answer. That may pass; otherwise stop it and start it again.", Bad: true, Again: whereTo(r, p),
		Buttons: []pageButton{button(r, p, "stop", "Stop it", true)}, Help: "What is not saved in it may be lost when it stops.",
		RequestID: httpapi.RequestID(r.Context()),
	})
}

// showRefusal answers a start or stop that was refused.
func (f *front) showRefusal(w http.ResponseWriter, r *http.Request, p *passage, err error) {
	if fault.KindOf(err) == fault.Internal || fault.Is(err, fault.Missing) || !htmlWanted(r) {
		f.refuse(w, r, err)
		return
	}
	f.show(w, r, httpapi.Status(err), page{
		Title: p.app.Name + " cannot be started now", Lead: err.Error(), Bad: true, Buttons: []pageButton{button(r, p, "start", "Try again", false)},
		Help: "Limits can be changed.",
	})
}

func (f *front) showUntrusted(w http.ResponseWriter, r *http.Request, t *target) {
	f.show(w, r, http.StatusNotFound, page{
		Title: t.app.Name + " cannot be opened here", Bad: true,
		Lead: "Apps that are not marked as trusted need a host name of their own, and this site serves apps below its own address.",
		Help: "An administrator can set apps.routing to host with a wildcard name, or mark the app as trusted.",
	})
}

func htmlWanted(r *http.Request) bool {
	return navigation(r) || r.Header.Get("Sec-Fetch-Mode") == "navigate"
}

// asPage shows people the errors of an address that a browser is led to.
func (s *Service) asPage(handle httpapi.Handler) httpapi.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		err := handle(w, r)
		if err == nil || !htmlWanted(r) {
			return err
		}
		s.front.refuse(w, r, err)
		return nil
	}
}

// refuse answers an error. What is missing and what is another's look exactly the same.
func (f *front) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if !htmlWanted(r) {
		w.Header().Set("Cache-Control", "no-store")
		writeProblem(w, r, err)
		return
	}
	status := httpapi.Status(err)
	view := page{Title: "This cannot be shown", Lead: "Something went wrong on our side.", RequestID: httpapi.RequestID(r.Context())}
	switch {
	case status == http.StatusNotFound:
		view.Title, view.Lead, view.RequestID = "There is no such app", "Either there is nothing at this address, or it is not yours to see.", ""
	case fault.KindOf(err) != fault.Internal:
		view.Lead = sentence(err)
	}
	f.show(w, r, status, view)
}

// appProblem is the body of errors that are about an app's state.
type appProblem struct {
	Kind      string `json:"kind"`
	Code      string `json:"code"`
	Cause     Cause  `json:"cause,omitempty"`
	Message   string `json:"message"`
	RequestID string `json:"request_id,omitempty"`
}

// say answers a program with an error about an app's state.
func (f *front) say(w http.ResponseWriter, r *http.Request, status int, p appProblem, wait time.Duration) {
	p.Kind, p.RequestID = fault.Unavailable.String(), httpapi.RequestID(r.Context())
	w.Header().Set("Retry-After", strconv.Itoa(max(1, int(wait/time.Second))))
	f.answer(w, r, status, map[string]any{"error": p})
}

func (f *front) answer(w http.ResponseWriter, r *http.Request, status int, v any) {
	w.Header().Set("Cache-Control", "no-store")
	text, err := json.Marshal(v)
	if err != nil {
		httpapi.WriteProblem(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(text) // the client went away
}
