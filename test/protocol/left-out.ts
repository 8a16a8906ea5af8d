export const LEFT_OUT = {} as Record<string, string>;
