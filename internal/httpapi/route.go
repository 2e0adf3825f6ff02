// Package httpapi is the HTTP edge: the route table, the one chain that every
// request passes, OpenAPI, error shapes, limits, paging and metrics. It knows
// no part and decides no permission: the Gate that it is given does.
package httpapi

import (
	"context"
	"net/http"
	"time"
)

// Public is the action of the routes that need no login: health, login, keys, documents.
const Public = "public"

// Site is the group of whatever belongs to no group of its own.
const Site = "site"

// Handler answers one request, or returns an error that is mapped to an answer in one place.
// It must not have written anything when it returns an error.
type Handler func(w http.ResponseWriter, r *http.Request) error

// Route declares one endpoint. Registering one without an Action fails at start.
type Route struct {
	Method string
	// Path is below the mount's prefix, in net/http.ServeMux syntax: "/users/{name}". Both the
	// form with and the one without a trailing slash are served; neither redirects.
	Path string
	// NoSlash leaves the path with a slash at its end to somebody else.
	NoSlash bool
	// Action is what the caller must be allowed to do, such as "audit.read", or Public.
	Action string
	// Group finds the group of the resource in the request. Nil means Site.
	Group func(*http.Request) string
	// InService says that only the service can know the group, because it has to look the object
	// up first. The chain then only refuses callers who are nobody; the service calls access.Require.
	InService bool
	Handle    Handler
	Doc       Doc
	Limits    Limits
}

// Doc describes a route for the OpenAPI document; types give the schemas.
type Doc struct {
	ID, Summary, Description string
	Tags                     []string
	// Request is a zero value of a struct whose fields carry the tags path, query or header, and
	// one field named Body for JSON; see Decode. Nil when there is nothing to describe.
	Request any
	// Form is a zero value of a struct that describes multipart fields (json tags; type File for files).
	Form any
	// Response is a zero value of what a success answers as JSON. Nil means no body, or Stream.
	Response any
	// Stream is the media type of an answer that is not JSON, or several, separated by commas.
	Stream string
	// Status is the status of success; 0 means 200, or 204 without Response and Stream.
	Status int
	// Errors lists the other statuses that clients should expect.
	Errors []int
}

// File stands for an uploaded file in Doc.Form.
type File struct{}

// Limits bounds one route; zero values mean the server's defaults.
type Limits struct {
	// Body is the largest body in bytes; -1 means no limit, for streams whose handler counts.
	Body int64
	// Timeout bounds the whole request; -1 means none, for streams.
	Timeout time.Duration
}

// Mount is one API under a prefix with an error shape and a document of its own.
type Mount struct {
	// Name labels metrics and logs: "platform", "results".
	Name string
	// Prefix is "" or "/results".
	Prefix                      string
	Title, Version, Description string
	Routes                      []Route
	// Problem writes an error in the shape that this API's clients expect. Nil means WriteProblem.
	Problem func(w http.ResponseWriter, r *http.Request, err error)
	// ProblemDoc is a zero value of what Problem writes, for the document. Nil means Problem{}.
	ProblemDoc any
	// AnyOrigin lets scripts of every origin read answers, whatever Config.CORSOrigins says: for an
	// API whose clients are pages from elsewhere. Cookies are never included.
	AnyOrigin bool
	// RedirectSlash answers an address with a slash at its end by 307 to the one without, as
	// Starlette does, instead of serving both.
	RedirectSlash bool
}

// Gate decides who calls and whether they may. identity implements it.
type Gate interface {
	// Authenticate finds the caller and returns a context that carries it. A request without any
	// credential is nobody: no error. A bad credential is fault.Unauthenticated.
	Authenticate(r *http.Request) (context.Context, error)
	// Authorize returns nil if the context's caller may do action on group, fault.Unauthenticated
	// for nobody, fault.Denied otherwise. With inService it only refuses nobody.
	Authorize(ctx context.Context, action, group string, inService bool) error
}
