package apps

import (
	"errors"
	"net/http"

	"lodge/internal/fault"
	"lodge/internal/httpapi"
)

// writeProblem is the platform's shape. What was read and found wrong is 422 here, and a change of
// what has changed meanwhile 412.
func writeProblem(w http.ResponseWriter, r *http.Request, err error) {
	status := httpapi.Status(err)
	var f *fault.Error
	switch {
	case errors.Is(err, errChanged):
		status = http.StatusPreconditionFailed
	case errors.As(err, &f) && f.Kind == fault.Invalid && len(f.Fields) > 0:
		status = http.StatusUnprocessableEntity
	}
	httpapi.WriteProblemAs(w, r, status, err)
}

// sentence is what a client may read of an error.
func sentence(err error) string {
	var f *fault.Error
	if errors.As(err, &f) {
		return f.Detail
	}
	return "something went wrong on our side"
}
