package workflows

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"lodge/internal/access"
	"lodge/internal/fault"
	"lodge/internal/httpapi"
)

// base is the API's path below the mount.
const base = "/api/v1"

// dryRun is the one path whose POST changes nothing.
const dryRun = "/validate/"

const (
	jsonMedia   = "application/json"
	streamMedia = "text/event-stream"
)

// routes is the original's API, in its order, then what is ours.
func (s *Service) routes() []httpapi.Route {
	return append(append(append(append(s.accountRoutes(), s.documentRoutes(kindComponent)...), s.documentRoutes(kindWorkflow)...), append(s.jobRoutes(), s.jobFileRoutes()...)...), s.placeRoutes()...)
}

// endpoint is what a route needs beside the rest.
type endpoint struct {
	method, path string
	action       access.Action
	// summary is the short text of its errors.
	summary string
	// media is what it answers; "" is JSON.
	media  string
	handle httpapi.Handler
	doc    httpapi.Doc
}

// route makes a route whose group only the service knows. What any known caller may do has the
// action self; every other is asked for by the service, on the workspace at hand.
func (s *Service) route(e endpoint) httpapi.Route {
	limits := httpapi.Limits{Body: s.cfg.MaxDocument}
	if e.media == streamMedia || e.media == octets || e.media == "text/plain" {
		limits = httpapi.Limits{Timeout: -1}
	}
	if e.media == "" {
		e.media = jsonMedia
	}
	e.doc.Errors = append(e.doc.Errors, http.StatusBadRequest, http.StatusUnsupportedMediaType, http.StatusNotAcceptable)
	return httpapi.Route{
		Method: e.method, Path: base + e.path, Action: string(e.action), InService: e.action != access.Self, Doc: e.doc, Limits: limits,
		Handle: func(w http.ResponseWriter, r *http.Request) error {
			s.headers(w.Header())
			err := acceptable(r, e.media)
			if err == nil {
				err = e.handle(w, r)
			}
			if err == nil && r.Method != http.MethodGet && r.Method != http.MethodHead && e.path != dryRun {
				kind, _, _ := strings.Cut(strings.TrimPrefix(e.path, "/"), "/")
				s.cfg.Changed(kind)
			}
			var known *summarised
			if err != nil && e.summary != "" && !errors.As(err, &known) {
				err = &summarised{e.summary, err}
			}
			return err
		},
	}
}

// headers are on every answer of a matched route.
func (s *Service) headers(h http.Header) {
	h.Set("X-Flowify-Version", s.cfg.Commit)
	h.Set("X-Flowify-Buildtime", s.cfg.BuildTime.UTC().Format(time.RFC3339))
}

// acceptable checks what the client sends and takes.
func acceptable(r *http.Request, media string) error {
	writes := r.Method == http.MethodPost || r.Method == http.MethodPut || r.Method == http.MethodPatch
	if sent, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); writes && r.ContentLength != 0 && (err != nil || sent != jsonMedia) {
		return &summarised{"Content-Type media type not supported", fault.New(fault.Unsupported, "requested Content-Type %s is not available, expecting %s", clip(r.Header.Get("Content-Type")), jsonMedia)}
	}
	if media != octets && !takes(r.Header.Values("Accept"), media) {
		err := fault.Wrap(errNotAcceptable, fault.Unsupported, "requested Accept type %s is not available, expecting %s", clip(strings.Join(r.Header.Values("Accept"), ", ")), media)
		return &summarised{"Accept media type not acceptable", err}
	}
	return nil
}

// takes says whether an Accept header takes a media type.
func takes(accept []string, media string) bool {
	group, _, _ := strings.Cut(media, "/")
	any := false
	for _, one := range strings.Split(strings.Join(accept, ","), ",") {
		if strings.TrimSpace(one) == "" {
			continue
		}
		any = true
		kind, params, err := mime.ParseMediaType(one)
		if err != nil || kind != media && kind != "*/*" && kind != group+"/*" {
			continue
		}
		if q, err := strconv.ParseFloat(params["q"], 64); params["q"] == "" || err == nil && q > 0 {
			return true
		}
	}
	return !any
}

// body reads a request's body, which must be there.
func (s *Service) body(r *http.Request) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r.Body, s.cfg.MaxDocument+1))
	if err != nil {
		return nil, err
	}
	if int64(len(text)) > s.cfg.MaxDocument {
		return nil, fault.New(fault.TooLarge, "the document is larger than %d bytes", s.cfg.MaxDocument)
	}
	return text, nil
}

// pathID reads a uuid of the path, in any of the forms that RFC 4122 knows.
func pathID(r *http.Request) (uuid.UUID, error) {
	id, err := uuid.Parse(r.PathValue("id"))
	if err != nil {
		return id, fault.New(fault.Invalid, "%q is no uuid", clip(r.PathValue("id")))
	}
	return id, nil
}

// pathVersion reads a version of the path; 0 and less are the newest.
func pathVersion(r *http.Request) (int, error) {
	v, err := strconv.ParseInt(r.PathValue("version"), 10, 32)
	if err != nil {
		return 0, fault.New(fault.Invalid, "%q is no version", clip(r.PathValue("version")))
	}
	return int(max(v, 0)), nil
}

// location is the address of something below the API.
func (s *Service) location(parts ...string) string {
	return s.cfg.Prefix + base + "/" + strings.Join(parts, "/")
}

const defaultLimit = 10

// listQuery describes the parameters of lists.
type listQuery struct {
	Limit  int      `query:"limit" minimum:"0" default:"10" doc:"How many items to answer at most"`
	Offset int      `query:"offset" minimum:"0" default:"0" doc:"How many items to leave out first"`
	Filter []string `query:"filter" doc:"field[op]=value, joined by commas; op is ==, !=, <, <=, >, >= or search. A comma in a value is written \\,"`
	Sort   []string `query:"sort" doc:"+field or -field, joined by commas; + as %2B"`
}

// parseQuery reads the parameters of a list.
func (s *Service) parseQuery(r *http.Request) (q query, err error) {
	values := r.URL.Query()
	for name, into := range map[string]*int{"limit": &q.limit, "offset": &q.offset} {
		text := values.Get(name)
		if text == "" && !values.Has(name) {
			if name == "limit" {
				*into = defaultLimit
			}
			continue
		}
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil || n < 0 {
			return q, &summarised{"error parsing query parameters", fault.New(fault.Invalid, "could not parse '%s' query parameter (%s) into non-negative integer", name, clip(text))}
		}
		*into = int(n)
	}
	q.limit = min(q.limit, s.cfg.MaxPage)
	if q.terms, err = parseFilter(values["filter"]); err != nil {
		return q, err
	}
	q.sort, err = parseSort(values["sort"])
	return q, err
}
