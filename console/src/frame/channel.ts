/** The tabs of one browser tell one another about logins ("in") and logouts ("out") on this channel. */
export const CHANNEL = 'lodge-session';
