package fleet

// AlertRequest tells people something, and may want an answer.
type AlertRequest struct {
	ID                  string           `json:"id"`
	UnixMillisAlertTime int64            `json:"unix_millis_alert_time"`
	Title               string           `json:"title"`
	Subtitle            string           `json:"subtitle"`
	Message             string           `json:"message"`
	Display             bool             `json:"display"`
	Tier                string           `json:"tier" enum:"info,warning,error"`
	ResponsesAvailable  []string         `json:"responses_available" nullable:"false"`
	AlertParameters     []AlertParameter `json:"alert_parameters" nullable:"false"`
	TaskID              *string          `json:"task_id"`
}

// AlertParameter is a detail of an alert.
type AlertParameter struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// AlertResponse is the answer to an alert.
type AlertResponse struct {
	ID                     string `json:"id"`
	UnixMillisResponseTime int64  `json:"unix_millis_response_time"`
	Response               string `json:"response"`
}

// DeliveryAlert is a trouble with a delivery.
type DeliveryAlert struct {
	ID       string `json:"id"`
	Category string `json:"category" enum:"missing,wrong,obstructed,cancelled"`
	Tier     string `json:"tier" enum:"warning,error"`
	Action   string `json:"action" enum:"waiting,cancel,override,resume"`
	TaskID   string `json:"task_id"`
	Message  string `json:"message"`
}

// The words that ROS has numbers for, in the order of the numbers.
var (
	alertTiers         = []string{"info", "warning", "error"}
	deliveryCategories = []string{"missing", "wrong", "obstructed", "cancelled"}
	deliveryTiers      = []string{"warning", "error"}
	deliveryActions    = []string{"waiting", "cancel", "override", "resume"}
)
