package access

import (
	"context"
	"fmt"

	"lodge/internal/database"
	"lodge/internal/fault"
	"lodge/internal/httpapi"
)

// Explanation answers who can do what, and by which rule. Which of its fields
// are there depends on what was asked.
type Explanation struct {
	// Allowed and Rule answer: may this user do this action on this group?
	Allowed *bool  `json:"allowed,omitempty" doc:"The answer, when user, action and group were asked"`
	Rule    string `json:"rule,omitempty" doc:"The rule that decides" example:"role viewer on lab"`
	// User is the one asked about.
	User *User `json:"user,omitempty"`
	// People answers: who can do this?
	People *httpapi.Page[Holder] `json:"people,omitempty" doc:"Who can, and by which rule: one line for each rule"`
	// Rights answers: what can this user do?
	Rights *httpapi.Page[Right] `json:"rights,omitempty" doc:"What the user can do, and by which rule"`
	Note   string               `json:"note,omitempty" doc:"What Lodge cannot know"`
}

// Holder is somebody who can do an action, by one rule.
type Holder struct {
	UserID string `json:"user_id"`
	Name   string `json:"name"`
	Email  string `json:"email"`
	Action Action `json:"action"`
	Group  Group  `json:"group"`
	Rule   string `json:"rule"`
}

// Right is something that one user can do, by one rule.
type Right struct {
	Action Action `json:"action"`
	Group  Group  `json:"group"`
	Rule   string `json:"rule"`
}

const tokenNote = "What Lodge knows counts here. Roles that a token carries, and rules that tie a token to its project, count in addition when that token is used."

// Question is what is to be explained; empty means any.
type Question struct {
	// User is an id, or a name that only one user has.
	User          string
	Action        Action
	Group         Group
	Limit, Offset int
}

// Explain answers who can do what.
func (s *Service) Explain(ctx context.Context, q Question) (Explanation, error) {
	q.Action, q.Group = Action(clean(string(q.Action), maxRole)), Group(clean(string(q.Group), maxGroup))
	switch {
	case q.User == "" && q.Action == "" && q.Group == "":
		return Explanation{}, fault.New(fault.Invalid, "name a user, an action or a group, or several of them")
	case q.User == "":
		return s.explainPeople(ctx, q)
	}
	u, err := s.named(ctx, q.User)
	if err != nil {
		return Explanation{}, err
	}
	if q.Action == "" || q.Group == "" {
		return s.explainRights(ctx, u, q)
	}
	d := disabledDecision
	if !u.Disabled {
		snap, err := s.current(ctx)
		if err != nil {
			return Explanation{}, err
		}
		d = Decide(&Caller{UserID: u.ID, Roles: u.Roles, Admin: u.Admin}, snap.grants, q.Action, q.Group)
	}
	return Explanation{Allowed: &d.Allowed, Rule: d.Rule, User: &u, Note: tokenNote}, nil
}

// named finds the user by id, or by a name that only one has.
func (s *Service) named(ctx context.Context, text string) (User, error) {
	u, found, err := findUser(ctx, s.db, "u.id = ?", clean(text, 36))
	if err != nil || found {
		return u, err
	}
	users := "u.name = ?"
	same, err := count(ctx, s.db, "SELECT COUNT(*) FROM users u WHERE "+users, clean(text, maxText))
	if err != nil {
		return User{}, fmt.Errorf("count users of a name: %w", err)
	}
	if same > 1 {
		return User{}, fault.New(fault.Conflict, "%d users are called %q; ask by id", same, text)
	}
	u, found, err = findUser(ctx, s.db, users, clean(text, maxText))
	if err == nil && !found {
		err = fault.New(fault.Missing, "there is no user %q", text)
	}
	return u, err
}

// explainPeople lists who can: administrators, and those whose roles carry it.
func (s *Service) explainPeople(ctx context.Context, q Question) (Explanation, error) {
	var w where
	w.and("u.disabled = 0 AND u.admin = 0")
	if q.Action != "" {
		w.and("p.action = ?", string(q.Action))
	}
	if q.Group != "" {
		w.and("p.group_name IN (?, '*')", string(q.Group))
	}
	from := `FROM (
		SELECT u.id, u.name, u.email, 0 AS by_role, '' AS role, '*' AS group_name, '' AS action
		FROM users u WHERE u.admin = 1 AND u.disabled = 0
		UNION ALL
		SELECT u.id, u.name, u.email, 1, p.role, p.group_name, p.action
		FROM permissions p JOIN user_roles m ON m.role = p.role JOIN users u ON u.id = m.user_id` + w.String() + `) found`
	total, err := count(ctx, s.db, "SELECT COUNT(*) "+from, w.args...)
	if err != nil {
		return Explanation{}, fmt.Errorf("count who can: %w", err)
	}
	var people []Holder
	err = each(ctx, s.db, func(rows database.Rows) error {
		var h Holder
		var byRole int
		var role Role
		if err := rows.Scan(&h.UserID, &h.Name, &h.Email, &byRole, &role, &h.Group, &h.Action); err != nil {
			return err
		}
		h.Rule = "administrator"
		if byRole == 1 {
			h.Rule = roleRule(role, h.Group)
		} else {
			h.Action = q.Action
		}
		people = append(people, h)
		return nil
	}, "SELECT id, name, email, by_role, role, group_name, action "+from+" ORDER BY by_role, name, id, role, group_name, action LIMIT ? OFFSET ?",
		w.with(q.Limit, q.Offset)...)
	if err != nil {
		return Explanation{}, fmt.Errorf("list who can: %w", err)
	}
	page := httpapi.NewPage(httpapi.PageQuery{Limit: q.Limit, Offset: q.Offset}, people, total)
	return Explanation{People: &page, Note: tokenNote}, nil
}

// explainRights lists what a user can do.
func (s *Service) explainRights(ctx context.Context, u User, q Question) (Explanation, error) {
	answer := Explanation{User: &u, Note: tokenNote}
	var rights []Right
	var total int64
	var err error
	switch {
	case u.Disabled:
		answer.Rule = disabledDecision.Rule
	case u.Admin:
		answer.Rule = "administrator"
		rights, total = s.everything(q)
	default:
		rights, total, err = s.rights(ctx, u, q)
	}
	page := httpapi.NewPage(httpapi.PageQuery{Limit: q.Limit, Offset: q.Offset}, rights, total)
	answer.Rights = &page
	return answer, err
}

// everything is the catalogue, for administrators.
func (s *Service) everything(q Question) ([]Right, int64) {
	group := q.Group
	if group == "" {
		group = Everywhere
	}
	var all []Right
	for _, i := range s.catalogue {
		if q.Action == "" || q.Action == i.Action {
			all = append(all, Right{i.Action, group, "administrator"})
		}
	}
	from := min(q.Offset, len(all))
	return all[from:min(from+q.Limit, len(all))], int64(len(all))
}

func (s *Service) rights(ctx context.Context, u User, q Question) ([]Right, int64, error) {
	var w where
	roles, args := in(u.Roles)
	w.and("role IN "+roles, args...)
	if q.Action != "" {
		w.and("action = ?", string(q.Action))
	}
	if q.Group != "" {
		w.and("group_name IN (?, '*')", string(q.Group))
	}
	total, err := count(ctx, s.db, "SELECT COUNT(*) FROM permissions"+w.String(), w.args...)
	if err != nil {
		return nil, 0, fmt.Errorf("count rights: %w", err)
	}
	var rights []Right
	err = each(ctx, s.db, func(rows database.Rows) error {
		var role Role
		var r Right
		if err := rows.Scan(&role, &r.Group, &r.Action); err != nil {
			return err
		}
		r.Rule = roleRule(role, r.Group)
		rights = append(rights, r)
		return nil
	}, "SELECT role, group_name, action FROM permissions"+w.String()+" ORDER BY action, group_name, role LIMIT ? OFFSET ?", w.with(q.Limit, q.Offset)...)
	if err != nil {
		return nil, 0, fmt.Errorf("list rights: %w", err)
	}
	return rights, total, nil
}
