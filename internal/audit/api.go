package audit

import (
	"net/http"
	"time"

	"lodge/internal/httpapi"
)

// Routes are the platform's routes about the audit log.
func (l *Log) Routes() []httpapi.Route {
	return []httpapi.Route{
		{
			Method: "GET", Path: "/api/v1/audit", Action: "audit.read", Handle: l.getRecords,
			// An export lasts as long as the log is long; who takes nothing is dropped all the same.
			Limits: httpapi.Limits{Timeout: -1},
			Doc: httpapi.Doc{
				ID: "list-audit", Summary: "Read the audit log, the newest record first", Tags: []string{"audit"},
				Description: "As application/json it comes in pages, by offset or by the cursor `next` of the page before. " +
					"As application/x-ndjson or text/csv (by Accept or by format) all of it comes in one stream.",
				Request: listRequest{}, Response: Page{}, Errors: []int{400},
			},
		},
		{
			Method: "GET", Path: "/api/v1/audit/verify", Action: "audit.read", Handle: l.getVerify,
			Doc: httpapi.Doc{
				ID: "verify-audit", Summary: "Does the chain hold?", Tags: []string{"audit"},
				Description: "Answers with a verification not older than a minute, or has one run and waits a little for it.",
				Response:    Verification{},
			},
		},
	}
}

type listRequest struct {
	httpapi.PageQuery
	Cursor     string    `query:"cursor" doc:"What the page before answered as next; instead of an offset, and without a total"`
	Caller     string    `query:"caller" doc:"The name, or issuer|subject"`
	Credential string    `query:"credential" example:"session:5f0c"`
	Action     string    `query:"action"`
	Group      string    `query:"group"`
	Object     string    `query:"object"`
	Outcome    string    `query:"outcome" enum:"allowed,denied,failed"`
	RequestID  string    `query:"request_id"`
	Address    string    `query:"address"`
	Since      time.Time `query:"since" doc:"From this moment on"`
	Until      time.Time `query:"until" doc:"Before this moment"`
	Q          string    `query:"q" doc:"Part of the caller, the object, the rule or the detail"`
	Format     string    `query:"format" enum:"json,ndjson,csv" doc:"Instead of the Accept header"`
}

// Page is one part of the log.
type Page struct {
	httpapi.Page[Record]
	Next string `json:"next,omitempty" doc:"The cursor of the following page; absent on the last"`
}

func (l *Log) getRecords(w http.ResponseWriter, r *http.Request) error {
	in, err := httpapi.Decode[listRequest](r)
	if err != nil {
		return err
	}
	media, err := chooseMedia(in.Format, r.Header.Get("Accept"))
	if err != nil {
		return err
	}
	f := Filter{
		Caller: in.Caller, Credential: in.Credential, Action: in.Action, Group: in.Group, Object: in.Object,
		Outcome: in.Outcome, RequestID: in.RequestID, Address: in.Address, Since: in.Since, Until: in.Until, Text: in.Q,
	}
	w.Header().Add("Vary", "Accept")
	w.Header().Set("Cache-Control", "no-store")
	if media == mediaJSON {
		return l.answerPage(w, r, in, f)
	}
	name := "audit-" + l.now().UTC().Format("20060102T150405Z") + map[string]string{mediaNDJSON: ".ndjson", mediaCSV: ".csv"}[media]
	w.Header().Set("Content-Type", media+"; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	if r.Method == http.MethodHead {
		return nil
	}
	return l.export(r.Context(), f, media, w)
}

func (l *Log) answerPage(w http.ResponseWriter, r *http.Request, in listRequest, f Filter) error {
	after, err := ParseCursor(in.Cursor)
	if err != nil {
		return err
	}
	var list []Record
	var next Cursor
	total := int64(-1) // counting is what makes far pages slow
	if in.Cursor != "" {
		list, next, err = l.List(r.Context(), f, after, in.Limit)
	} else {
		list, next, total, err = l.Page(r.Context(), f, in.Limit, in.Offset)
	}
	if err != nil {
		return err
	}
	return httpapi.JSON(w, http.StatusOK, Page{httpapi.NewPage(in.PageQuery, list, total), next.String()})
}

func (l *Log) getVerify(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", "no-store")
	return httpapi.JSON(w, http.StatusOK, l.Verified(r.Context()))
}
