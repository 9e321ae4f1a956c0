// Settings whose values nobody is shown.

const NAME = /password|passwd|secret|token|credential|jaas|(?:private|access)[._-]?key/i
export const MASKED = '••••••'

/** The value of a setting as it may be shown. */
export const maskedValue = (name: string, value: string): string => (NAME.test(name) && value !== '' ? MASKED : value)
