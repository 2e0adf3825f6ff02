package results

import (
	"crypto/rand"
	"fmt"
	"io"
	"math"
	"math/big"

	"lodge/internal/fault"
)

// privacy is what a local differential privacy submission asks for.
type privacy struct{ epsilon, sensitivity float64 }

// scale is that of the Laplace distribution that gives the asked privacy. Parameters that would
// add no noise, or none that is defined, are refused: the raw value must never leave.
func (p privacy) scale() (float64, error) {
	for _, parameter := range []struct {
		name  string
		value float64
	}{{"epsilon", p.epsilon}, {"sensitivity", p.sensitivity}} {
		if !(parameter.value > 0) || math.IsInf(parameter.value, 0) {
			return 0, fault.New(fault.Invalid, "%s must be a finite number greater than zero", parameter.name)
		}
	}
	scale := p.sensitivity / p.epsilon
	if scale == 0 || math.IsInf(scale, 0) {
		return 0, fault.New(fault.Invalid, "sensitivity divided by epsilon must be a finite number greater than zero")
	}
	return scale, nil
}

// addNoise returns value with Laplace noise of the scale. Values and noise are whole multiples of
// 2^-1074, the finest step of a double, and are added and drawn exactly: noise made by floating-point
// arithmetic betrays the value in its low bits (Mironov 2012).
func addNoise(random io.Reader, value, scale float64) (float64, error) {
	noise, err := discreteLaplace(random, steps(scale))
	if err != nil {
		return 0, fmt.Errorf("draw noise: %w", err)
	}
	sum := noise.Add(noise, steps(value))
	exact := new(big.Float).SetInt(sum)
	noised, _ := exact.SetMantExp(exact, finest).Float64()
	return noised, nil
}

// finest is the exponent of the smallest positive double.
const finest = -1074

// steps is f / 2^-1074, which is a whole number for every finite double.
func steps(f float64) *big.Int {
	bits := math.Float64bits(f)
	exponent := int(bits >> 52 & 0x7ff)
	mantissa := new(big.Int).SetUint64(bits & (1<<52 - 1))
	if exponent > 0 {
		mantissa.SetBit(mantissa, 52, 1)
		mantissa.Lsh(mantissa, uint(exponent-1))
	}
	if f < 0 {
		mantissa.Neg(mantissa)
	}
	return mantissa
}

// discreteLaplace draws a whole number x with probability in proportion to exp(-|x|/scale), by the
// exact sampler of Canonne, Kamath and Steinke (2020).
func discreteLaplace(random io.Reader, scale *big.Int) (*big.Int, error) {
	for {
		magnitude, err := geometric(random, scale)
		if err != nil {
			return nil, err
		}
		sign, err := rand.Int(random, big.NewInt(2))
		if err != nil {
			return nil, err
		}
		if sign.Sign() == 0 {
			return magnitude, nil
		}
		// Zero has one sign only, or it would be drawn twice as often as it should.
		if magnitude.Sign() != 0 {
			return magnitude.Neg(magnitude), nil
		}
	}
}

// geometric draws a whole number x ≥ 0 with probability in proportion to exp(-x/scale).
func geometric(random io.Reader, scale *big.Int) (*big.Int, error) {
	for {
		u, err := rand.Int(random, scale)
		if err != nil {
			return nil, err
		}
		keep, err := bernoulliExp(random, u, scale)
		if err != nil {
			return nil, err
		}
		if !keep {
			continue
		}
		one := big.NewInt(1)
		wholes := new(big.Int)
		for {
			more, err := bernoulliExp(random, one, one)
			if err != nil {
				return nil, err
			}
			if !more {
				return u.Add(u, wholes.Mul(wholes, scale)), nil
			}
			wholes.Add(wholes, one)
		}
	}
}

// bernoulliExp is true with probability exp(-n/d), for 0 ≤ n/d ≤ 1.
func bernoulliExp(random io.Reader, n, d *big.Int) (bool, error) {
	bound := new(big.Int)
	for k := int64(1); ; k++ {
		draw, err := rand.Int(random, bound.Add(bound, d)) // below k·d
		if err != nil {
			return false, err
		}
		if draw.Cmp(n) >= 0 {
			return k%2 == 1, nil
		}
	}
}
