package fleet

import (
	"encoding/base64"
	"encoding/json"
	"fmt"

	"lodge/internal/fleet/fastapi"
)

// DoorState is how a door stands.
type DoorState struct {
	DoorTime    Time     `json:"door_time"`
	DoorName    string   `json:"door_name"`
	CurrentMode DoorMode `json:"current_mode"`
}

// DoorMode is 0 closed, 1 moving, 2 open, 3 offline, 4 unknown.
type DoorMode struct {
	Value uint32 `json:"value"`
}

// LiftState is where a lift is and what it does.
type LiftState struct {
	LiftTime         Time     `json:"lift_time"`
	LiftName         string   `json:"lift_name"`
	AvailableFloors  []string `json:"available_floors" nullable:"false"`
	CurrentFloor     string   `json:"current_floor"`
	DestinationFloor string   `json:"destination_floor"`
	DoorState        uint8    `json:"door_state"`
	MotionState      uint8    `json:"motion_state"`
	AvailableModes   octets   `json:"available_modes" nullable:"false"`
	CurrentMode      uint8    `json:"current_mode"`
	SessionID        string   `json:"session_id"`
}

// octets are small numbers: a list in JSON, and a list or base64 from the bridge.
type octets []uint16

// UnmarshalJSON reads both forms.
func (o *octets) UnmarshalJSON(raw []byte) error {
	if len(raw) > 0 && raw[0] == '"' {
		var bytes []byte
		if err := json.Unmarshal(raw, &bytes); err != nil {
			return fmt.Errorf("numbers as base64: %w", err)
		}
		*o = make(octets, len(bytes))
		for i, b := range bytes {
			(*o)[i] = uint16(b)
		}
		return nil
	}
	return json.Unmarshal(raw, (*[]uint16)(o))
}

// WorkcellState is what a dispenser or an ingestor does.
type WorkcellState struct {
	Time             Time          `json:"time"`
	GUID             string        `json:"guid"`
	Mode             int32         `json:"mode"`
	RequestGUIDQueue []string      `json:"request_guid_queue" nullable:"false"`
	SecondsRemaining fastapi.Float `json:"seconds_remaining"`
}

// (Dispensers and ingestors have the same states under two names, as clients know them.)
type (
	// DispenserState is what a dispenser does.
	DispenserState WorkcellState
	// IngestorState is what an ingestor does.
	IngestorState WorkcellState
)

// Dispenser names one.
type Dispenser struct {
	GUID string `json:"guid"`
}

// Ingestor names one.
type Ingestor struct {
	GUID string `json:"guid"`
}

// DoorRequest asks a door to move.
type DoorRequest struct {
	Mode uint32 `json:"mode" minimum:"0" maximum:"4294967295"`
}

// LiftRequest asks a lift to come, or lets it go.
type LiftRequest struct {
	RequestType          uint8    `json:"request_type" minimum:"0" maximum:"255"`
	DoorMode             uint8    `json:"door_mode" minimum:"0" maximum:"255"`
	Destination          string   `json:"destination"`
	AdditionalSessionIDs []string `json:"additional_session_ids" required:"false"`
}

// BeaconState is how a beacon is.
type BeaconState struct {
	ID        string `json:"id"`
	Online    bool   `json:"online"`
	Category  string `json:"category"`
	Activated bool   `json:"activated"`
	Level     string `json:"level"`
}

// Rio is an input or output of the site, whatever it is.
type Rio struct {
	ID   string         `json:"id"`
	Type string         `json:"type"`
	Data fastapi.Object `json:"data"`
}

// FireAlarmTriggerState is the last that was heard of the fire alarm.
type FireAlarmTriggerState struct {
	UnixMillisTime int64 `json:"unix_millis_time"`
	Trigger        bool  `json:"trigger"`
}

// imageBytes reads the bytes of an image from the bridge: base64, or a list.
func imageBytes(raw json.RawMessage) ([]byte, error) {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		data, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, fmt.Errorf("an image as base64: %w", err)
		}
		return data, nil
	}
	var list octets
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, fmt.Errorf("an image as a list of bytes: %w", err)
	}
	data := make([]byte, len(list))
	for i, b := range list {
		data[i] = byte(b)
	}
	return data, nil
}
