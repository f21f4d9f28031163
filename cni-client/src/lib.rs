//! A client for the Container Network Interface: configuration lists and plugin chains.
