package fleet

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"lodge/internal/access"
	"lodge/internal/audit"
	"lodge/internal/database"
	"lodge/internal/fault"
)

// where tells the group of what a request is about, before anything else of it is looked at.
type where struct {
	group func(r *http.Request) (access.Group, error)
	// hidden says that nobody without the right learns whether there is such a thing.
	hidden bool
}

// onSite is about what belongs to no group of its own.
var onSite = where{group: func(*http.Request) (access.Group, error) { return access.Site, nil }}

// anywhere is for lists, which are filtered, and for what finds its group itself. The caller must
// have the right on some group at least.
var anywhere = where{group: func(*http.Request) (access.Group, error) { return "", nil }}

// on is about the thing of a kind that the path names.
func (s *Service) on(kind, param string) where {
	return where{hidden: true, group: func(r *http.Request) (access.Group, error) {
		return s.groups.of(r.Context(), kind, r.PathValue(param))
	}}
}

// onTask is about the task that the path names. One that is not known is the site's.
func (s *Service) onTask(param string) where {
	return where{hidden: true, group: func(r *http.Request) (access.Group, error) { return s.taskGroup(r.Context(), r.PathValue(param)) }}
}

// open says that everybody may do the action, as in the original, which knows only administration.
func (s *Service) open(action access.Action) bool {
	return s.cfg.OpenPermissions && strings.HasPrefix(string(action), "fleet.") && action != Report && action != ReadGroups && action != WriteGroups
}

// permit decides whether the context's caller may do the action on the group, "" for some group.
// Whoever has the right nowhere is told which one is missing. Whoever has it elsewhere learns no
// more of a hidden thing than that there is none.
func (s *Service) permit(ctx context.Context, action access.Action, group access.Group, hidden bool, object string) (context.Context, error) {
	if access.CallerFrom(ctx) == nil {
		return ctx, fault.New(fault.Unauthenticated, "Not authenticated")
	}
	if s.open(action) {
		return access.WithDecision(ctx, access.Decision{Allowed: true, Rule: "permissions are open"}), nil
	}
	groups, all, err := s.access.Groups(ctx, action)
	if err != nil {
		return ctx, err
	}
	nowhere := len(groups) == 0 && !all
	if group == "" && !nowhere {
		return ctx, nil
	}
	if group == "" {
		group = access.Site
	}
	decision, err := s.access.Require(ctx, action, group)
	ctx = context.WithValue(access.WithDecision(ctx, decision), groupKey{}, group)
	if !fault.Is(err, fault.Denied) {
		return ctx, err
	}
	refused := s.audit.Refused(ctx, audit.Entry{
		Action: string(action), Group: string(group), Object: object, Outcome: audit.Denied, Rule: decision.Rule,
	})
	if hidden && !nowhere {
		err = errNotFound
	}
	return ctx, errors.Join(err, refused)
}

// visible is the SQL condition for the groups on which the caller may do the action, with its
// values; "" leaves nothing out.
func (s *Service) visible(ctx context.Context, action access.Action, column string) (string, []any, error) {
	if s.open(action) {
		return "", nil, nil
	}
	groups, all, err := s.access.Groups(ctx, action)
	if err != nil || all {
		return "", nil, err
	}
	if len(groups) == 0 {
		return "1 = 0", nil, nil
	}
	return column + " IN " + places(len(groups)), anys(groups), nil
}

// record writes an audit record in the change's transaction.
func (s *Service) record(ctx context.Context, tx *database.Tx, action access.Action, group access.Group, object, detail string) error {
	return s.audit.Record(ctx, tx, audit.Entry{Action: string(action), Group: string(group), Object: object, Detail: detail})
}

// groupKey is the context's group on which the caller was permitted something.
type groupKey struct{}

func groupFrom(ctx context.Context) access.Group {
	if group, ok := ctx.Value(groupKey{}).(access.Group); ok {
		return group
	}
	return access.Site
}

// recordCommand writes the audit record of a command that changes nothing in the database.
func (s *Service) recordCommand(ctx context.Context, action access.Action, object, detail string, err error) error {
	outcome := audit.Allowed
	if err != nil {
		outcome, detail = audit.Failed, detail+": "+err.Error()
	}
	return errors.Join(err, s.audit.Refused(context.WithoutCancel(ctx), audit.Entry{
		Action: string(action), Group: string(groupFrom(ctx)), Object: object, Detail: detail, Outcome: outcome, Rule: access.DecisionFrom(ctx).Rule,
	}))
}

// callerName is the caller's name as rows and RMF know it.
func callerName(ctx context.Context) string {
	if c := access.CallerFrom(ctx); c != nil {
		return c.Name
	}
	return ""
}

// callerKey tells callers apart for ever.
func callerKey(ctx context.Context) string {
	if c := access.CallerFrom(ctx); c != nil {
		return c.Issuer + "|" + c.Subject
	}
	return ""
}
