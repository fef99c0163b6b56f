"""The optimizers' identities, decided exactly: t steps by induction on t, an objective as an opaque gradient."""

from collections.abc import Callable

import sympy as sp

from dlcheck.evidence.symbolic import Proof

Expr = sp.Expr
T = sp.Symbol("t", integer=True, positive=True)
ALL_STEPS = "every t >= 1, by induction; all symbols"


def _induction(says: str, closed: Expr, first: Expr, following: Callable[[Expr], Expr], perturbed: Expr) -> Proof:
    """A closed form in t, from its value at t = 1 and from what the recursion makes of it at t + 1."""

    def residuals(form: Expr) -> tuple[Expr, Expr]:
        return form.subs(T, 1) - first, form.subs(T, T + 1) - following(form)

    return Proof(says, residuals(closed), residuals(perturbed), ALL_STEPS)


def momentum() -> tuple[Proof, ...]:
    """dx_t = rho dx_(t-1) - eta g_t as a weighted sum, and its approach to -eta g / (1 - rho).

    Source: Polyak, Some methods of speeding up the convergence of iteration methods (1964), eq. 9.
    """
    rho, eta, g = sp.symbols("rho eta g")
    velocity = -eta * g * (1 - rho**T) / (1 - rho)
    terminal = -eta * g / (1 - rho)
    return (
        _induction(
            "a gradient that is t steps old has the weight -eta rho^t in dx",
            -eta * rho**T,
            -eta * rho,
            lambda v: rho * v,
            -eta * rho ** (T - 1),
        ),
        _induction(
            "under a constant g, dx_t = -eta g (1 - rho^t) / (1 - rho)",
            velocity,
            -eta * g,
            lambda v: rho * v - eta * g,
            -eta * g * (1 + rho**T) / (1 - rho),
        ),
        Proof(
            "what is missing from -eta g / (1 - rho) is its fraction rho^t",
            terminal - velocity - rho**T * terminal,
            terminal - velocity - rho ** (T - 1) * terminal,
            "every t >= 1; rho other than 1",
        ),
    )


def nesterov_lookahead() -> tuple[Proof, ...]:
    """The look-ahead form is Nesterov's method of two sequences.

    Source: Nesterov (1983); Sutskever et al., On the importance of initialization and momentum (2013), eq. 3 and 4.
    """
    x, before, rho, eta, k = sp.symbols("x x_before rho eta k")
    gradient = sp.Function("gradient")
    velocity = x - before
    extrapolated = x + rho * (x - before)
    nesterov = extrapolated - eta * gradient(sp.expand(extrapolated))
    lookahead = x + rho * velocity - eta * gradient(sp.expand(x + rho * velocity))
    classical = x + rho * velocity - eta * gradient(x)
    on_valley = rho * velocity - eta * k * (x + rho * velocity)
    damped = rho * (1 - eta * k) * velocity - eta * k * x
    return (
        Proof(
            "x + dx equals Nesterov's y - eta grad f(y) at y = x + rho (x - x_before)",
            lookahead - nesterov,
            classical - nesterov,
            "every f, every rho and eta, also when they change from step to step",
        ),
        Proof(
            "where the curvature is k it is classical momentum with rho (1 - eta k)",
            on_valley - damped,
            on_valley - (rho * velocity - eta * k * x),
            "every quadratic f",
        ),
    )


def nesterov_reformulation() -> tuple[Proof, ...]:
    """One step of the libraries' forms against the look-ahead form at y_t = x_t + rho dx_(t-1), with the exact gap.

    Source: Bengio et al., Advances in optimizing recurrent networks (2013), simplified Nesterov momentum.
    """
    x, v, g, rho, rho_next, eta, eta_next, buffer = sp.symbols("x v g rho rho_next eta eta_next b")

    def moved(velocity: Expr, next_velocity: Expr, next_rho: Expr) -> Expr:
        """y_(t+1) - y_t of the look-ahead form, where next_velocity = dx_t."""
        return (x + next_velocity + next_rho * next_velocity) - (x + rho * velocity)

    v_new = rho * v - eta * g
    inside = rho * v_new - eta * g
    b_new = rho * buffer + g
    outside = -eta * (g + rho * b_new)
    constant = moved(-eta * buffer, -eta * b_new, rho)
    scaled = (x - eta * b_new - eta_next * rho * b_new) - (x - eta * rho * buffer)
    return (
        Proof(
            "rate inside the velocity: y moves by rho v_t - eta g",
            moved(v, v_new, rho) - inside,
            moved(v, v_new, rho) - v_new,
            "every gradient, any sequence of eta, constant rho",
        ),
        Proof(
            "with changing rho the two differ by (rho_(t+1) - rho_t) dx_t",
            moved(v, v_new, rho_next) - inside - (rho_next - rho) * v_new,
            moved(v, v_new, rho_next) - inside,
            "every gradient, any sequences of eta and rho",
        ),
        Proof(
            "rate outside the velocity: y moves by -eta (g + rho b_t)",
            constant - outside,
            constant + eta * b_new,
            "every gradient, constant eta and rho",
        ),
        Proof(
            "rate outside and changing: the two differ by -(eta_(t+1) - eta_t) rho b_t",
            scaled - outside + (eta_next - eta) * rho * b_new,
            scaled - outside,
            "every gradient, any sequence of eta, constant rho; look-ahead at x_t - eta_t rho b_(t-1)",
        ),
    )


def adagrad() -> tuple[Proof, ...]:
    """How Adagrad's rate eta / sqrt(s + eps) changes, in squares so that no root stands in the way.

    Source: Duchi, Hazan, Singer, Adaptive subgradient methods (2011), section 1.1.
    """
    s, g, eta, eps, gamma = sp.symbols("s g eta eps gamma", positive=True)

    def rate(total: Expr) -> Expr:
        return eta**2 / (total + eps)

    summed, averaged = s + g**2, gamma * s + (1 - gamma) * g**2
    return (
        Proof(
            "(rate before / rate after)^2 = 1 + g^2 / (s_(t-1) + eps), at least 1",
            rate(s) / rate(summed) - 1 - g**2 / (s + eps),
            rate(s) / rate(averaged) - 1 - g**2 / (s + eps),
            "every real g, s_(t-1) >= 0, eps > 0 (outside the root: the same order), constant eta",
        ),
        Proof(
            "rate^2 - 1 has the sign of eta^2 - eps - s_t",
            rate(s) - 1 - (eta**2 - eps - s) / (s + eps),
            rate(s) - 1 - (eta**2 - eps - g**2) / (s + eps),
            "every s_t >= 0, eps > 0",
        ),
    )


def rmsprop() -> tuple[Proof, ...]:
    """RMSprop's mean square falls as soon as a squared gradient lies below it.

    Source: Tieleman and Hinton, lecture 6.5, Neural networks for machine learning (2012).
    """
    s, g, gamma = sp.symbols("s g gamma")
    s_new = gamma * s + (1 - gamma) * g**2
    still = gamma**T * s
    return (
        Proof(
            "s_t - s_(t-1) = (1 - gamma) (g_t^2 - s_(t-1)), negative where g_t^2 < s_(t-1)",
            s_new - s - (1 - gamma) * (g**2 - s),
            s + g**2 - s - (1 - gamma) * (g**2 - s),
            "every g and s; gamma < 1",
        ),
        _induction(
            "after t zero gradients s is gamma^t s", still, gamma * s, lambda v: gamma * v, gamma ** (2 * T) * s
        ),
    )


def adadelta() -> tuple[Proof, ...]:
    """One step of Adadelta under a change of units, in squares; by induction from s_0 = D_0 = 0 for all steps.

    The loss in units a and the parameter in units c turn g into a g / c; eps is told apart in the numerator (eps_x)
    and in the denominator (eps_g). Source: Zeiler, ADADELTA (2012), section 3.2 and algorithm 1.
    """
    s, d, g, rho, eps_x, eps_g, a, c = sp.symbols("s D g rho eps_x eps_g a c", positive=True)

    def step(s: Expr, d: Expr, g: Expr, eps_x: Expr, eps_g: Expr) -> tuple[Expr, Expr, Expr]:
        s = rho * s + (1 - rho) * g**2
        squared = (d + eps_x) / (s + eps_g) * g**2
        return s, squared, rho * d + (1 - rho) * squared

    def against(grown: tuple[Expr, Expr, Expr], gradient: Expr, parameter: Expr) -> tuple[Expr, ...]:
        factors = (gradient**2, parameter**2, parameter**2)
        return tuple(new - k * old for new, k, old in zip(grown, factors, step(s, d, g, eps_x, eps_g), strict=True))

    k = a / c
    return (
        Proof(
            "with eps_x -> c^2 eps_x and eps_g -> (a/c)^2 eps_g the step grows by c, like the parameter",
            against(step(k**2 * s, c**2 * d, k * g, c**2 * eps_x, k**2 * eps_g), k, c),
            against(step(k**2 * s, c**2 * d, k * g, eps_x, eps_g), k, c),
            "every t from a start at zero, any gradients, a, c > 0",
        ),
        Proof(
            "with eps_x -> c^2 eps_x alone every step grows by c: sqrt(eps_x) is a learning rate",
            against(step(s, c**2 * d, g, c**2 * eps_x, eps_g), sp.Integer(1), c),
            against(step(s, d, g, c**2 * eps_x, eps_g), sp.Integer(1), c),
            "every t from a start at zero, the same gradients, c > 0",
        ),
    )


def adam_bias_correction() -> tuple[Proof, ...]:
    """Expectation of an exponential average that starts at zero, for a stationary and for a drifting gradient.

    Source: Kingma and Ba, Adam (2015), section 3.
    """
    beta, mean, drift = sp.symbols("beta mu d")
    average = (1 - beta**T) * mean
    ramp = drift * (T - beta * (1 - beta**T) / (1 - beta))
    return (
        _induction(
            "E[v_t] = (1 - beta^t) E[g] (the same with g*g for s_t), so E[v_t / (1 - beta^t)] = E[g]",
            average,
            (1 - beta) * mean,
            lambda v: beta * v + (1 - beta) * mean,
            (1 - beta ** (T - 1)) * mean,
        ),
        _induction(
            "where E[g_t] = d t, E[v_t] = d (t - beta (1 - beta^t) / (1 - beta)): the correction leaves a lag",
            ramp,
            (1 - beta) * drift,
            lambda v: beta * v + (1 - beta) * drift * (T + 1),
            (1 - beta**T) * drift * T,
        ),
    )


def adam_first_step() -> tuple[Proof, ...]:
    """Adam's first step of a gradient g > 0 (a negative one mirrors it), with 1 - beta_2 = r^2 to keep it rational.

    Source: Kingma and Ba, Adam (2015), algorithm 1 and section 2.1.
    """
    g, r, eta, eps, beta1 = sp.symbols("g r eta eps beta_1", positive=True)
    first, root = (1 - beta1) * g, r * g
    plain = eta * (first / (1 - beta1)) / (root / r + eps)
    hat = eta * r / (1 - beta1) * first / (root + eps)
    return (
        Proof(
            "eps beside the corrected root: the size is eta |g| / (|g| + eps)",
            plain - eta * g / (g + eps),
            eta * first / (root + eps) - eta * g / (g + eps),
            "every g other than 0, betas in [0, 1)",
        ),
        Proof(
            "eps beside the uncorrected root: the size is eta |g| / (|g| + eps / sqrt(1 - beta_2))",
            hat - eta * g / (g + eps / r),
            hat - eta * g / (g + eps),
            "every g other than 0, betas in [0, 1)",
        ),
    )
