package results

import (
	"context"
	"errors"

	"lodge/internal/access"
	"lodge/internal/audit"
	"lodge/internal/fault"
)

// analysisRule names the rule by which an analysis may use its own project, in decisions and the audit log.
const analysisRule access.Role = "analysis of this project"

// caller is who asks, as far as results care: an analysis, by a token that names it, or a person.
type caller struct {
	// analysis is the client id exactly as the token has it; isAnalysis says that it has one, as it
	// may be empty.
	analysis   string
	isAnalysis bool
	// name is what rows record as the owner.
	name string
	// bearer says that the caller came with a token, not with a session.
	bearer bool
}

// actor is a caller who may do what they ask for, on this project.
type actor struct {
	caller
	project string
	rule    string
}

// identify finds out whether the caller is an analysis.
func (s *Service) identify(ctx context.Context) (caller, error) {
	c := access.CallerFrom(ctx)
	if c == nil {
		return caller{}, fault.New(fault.Unauthenticated, notAuthenticated)
	}
	who := caller{name: c.Subject, bearer: c.Credential.Kind == "bearer" || c.Credential.Kind == "token"}
	claim, there := c.Claims[s.cfg.ClientIDClaim]
	if !who.bearer || !there {
		return who, nil
	}
	id, ok := claim.(string)
	if !ok || len(id) > maxName {
		return caller{}, fault.New(fault.Unauthenticated, malformedToken)
	}
	who.analysis, who.isAnalysis, who.name = id, true, id
	return who, nil
}

// maxName is how long ids and names in the tables can be.
const maxName = 255

// projectOf finds the project of an analysis. Without a hub the caller's own token names it.
func (s *Service) projectOf(ctx context.Context, analysis string) (string, error) {
	missing := fault.New(fault.Missing, "Analysis with ID %s not found", analysis)
	if s.hub == nil {
		project := analysis
		c := access.CallerFrom(ctx)
		if claim, ok := c.Claims["project_id"].(string); ok && claim != "" && c.Claims[s.cfg.ClientIDClaim] == analysis {
			project = claim
		}
		// "site" and "*" are groups of another meaning.
		if project == "" || len(project) > maxGroup || project == string(access.Site) || project == string(access.Everywhere) {
			return "", missing
		}
		return canonicalOr(project), nil
	}
	id, ok := parseUUID(analysis)
	if !ok {
		return "", missing
	}
	project, err := s.projects.get(ctx, id, func(ctx context.Context) (string, error) {
		a, err := s.hub.Analysis(ctx, id)
		return a.ProjectID, err
	})
	if fault.Is(err, fault.Missing) {
		return "", missing
	}
	return project, hubFault(err)
}

// maxGroup is how long a project's id can be, as permissions are given on it.
const maxGroup = 191

// asAnalysis gives the caller the rights that an analysis has on its own project.
func asAnalysis(ctx context.Context, project string) context.Context {
	group := access.Group(project)
	return access.WithGrants(ctx,
		access.Grant{Role: analysisRule, Group: group, Action: Read},
		access.Grant{Role: analysisRule, Group: group, Action: Write},
		access.Grant{Role: analysisRule, Group: group, Action: ReadUploads},
	)
}

// acting finds the project that the caller acts on and whether they may. An analysis acts on its own
// project; whoever names one acts on that, if permitted.
func (s *Service) acting(ctx context.Context, action access.Action, project string) (actor, error) {
	who, err := s.identify(ctx)
	if err != nil {
		return actor{}, err
	}
	if who.isAnalysis {
		own, err := s.projectOf(ctx, who.analysis)
		if err != nil && project == "" {
			return actor{}, err
		}
		if err == nil {
			ctx = asAnalysis(ctx, own)
		}
		if project == "" {
			project = own
		}
	}
	project = canonicalOr(project)
	if project == "" {
		return actor{}, fault.InvalidFields(missingField("query", "project_id"))
	}
	rule, err := s.require(ctx, action, project, project)
	return actor{who, project, rule}, err
}

// require asks for permission, and writes a refusal down.
func (s *Service) require(ctx context.Context, action access.Action, project, object string) (rule string, err error) {
	group := access.Group(project)
	if project == "" {
		group = access.Site
	}
	decision, err := s.access.Require(ctx, action, group)
	if !fault.Is(err, fault.Denied) {
		return decision.Rule, err
	}
	refused := s.audit.Refused(ctx, audit.Entry{
		Action: string(action), Group: string(group), Object: object, Outcome: audit.Denied, Rule: decision.Rule,
	})
	return decision.Rule, errors.Join(err, refused)
}

// admit refuses who can have nothing to do here, before anything of the request is looked at: a caller
// who is no analysis and has the right on no project at all. The original calls a token that names no
// analysis malformed; for people the permission is named.
func (s *Service) admit(ctx context.Context, action access.Action) error {
	who, err := s.identify(ctx)
	if err != nil || who.isAnalysis {
		return err
	}
	groups, all, err := s.access.Groups(ctx, action)
	if err != nil || all || len(groups) > 0 {
		return err
	}
	what := string(action) + " on a project"
	refused := s.audit.Refused(ctx, audit.Entry{
		Action: string(action), Group: string(access.Site), Outcome: audit.Denied, Rule: "no role of the caller has " + what,
	})
	if who.bearer {
		return errors.Join(fault.New(fault.Unauthenticated, malformedToken), refused)
	}
	return errors.Join(&fault.Error{
		Kind: fault.Denied, Permission: what, Detail: "you lack the permission " + what + "; an administrator can grant it",
	}, refused)
}

// hide turns a refusal into the answer for what does not exist: that it exists is not the caller's to know.
func hide(err error, sentence string, args ...any) error {
	if fault.Is(err, fault.Denied) {
		return fault.Wrap(err, fault.Missing, sentence, args...)
	}
	return err
}
